//! The isolation levels, and how a person names them.

use crate::error::Error;
use std::fmt;
use std::str::FromStr;

/// How a command is separated from the machine. No level is ever replaced by a weaker one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Namespaces of its own, started by bubblewrap.
    Bubblewrap,
    Podman,
    Docker,
    /// No namespaces; the kernel's Landlock rules limit files and ports.
    Landlock,
    /// The machine is a container or virtual machine for this runner only.
    External,
    /// macOS's own sandbox, by a profile. Untested.
    Seatbelt,
    None,
}

impl Level {
    pub const ALL: [Self; 7] =
        [Self::Bubblewrap, Self::Podman, Self::Docker, Self::Landlock, Self::External, Self::Seatbelt, Self::None];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bubblewrap => "bubblewrap",
            Self::Podman => "podman",
            Self::Docker => "docker",
            Self::Landlock => "landlock",
            Self::External => "external",
            Self::Seatbelt => "seatbelt",
            Self::None => "none",
        }
    }

    /// Whether a command sees a file system of its own, with other paths than the machine's.
    pub fn has_mounts(self) -> bool {
        self == Self::Bubblewrap || self.is_container()
    }

    pub fn is_container(self) -> bool {
        matches!(self, Self::Podman | Self::Docker)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Level {
    type Err = Error;

    /// `auto` is bubblewrap, and an error on a system without it.
    fn from_str(word: &str) -> Result<Self, Error> {
        match word {
            "auto" if cfg!(target_os = "linux") => Ok(Self::Bubblewrap),
            "auto" => Err(Error::NoAutomaticLevel),
            "bwrap" => Ok(Self::Bubblewrap),
            // Other runners name the kind of boundary.
            "container" | "jail" | "vm" => Ok(Self::External),
            word => {
                let level = Self::ALL.into_iter().find(|level| level.as_str() == word);
                level.ok_or_else(|| Error::UnknownLevel(word.to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_is_parsed_from_its_own_word() {
        for level in Level::ALL {
            assert_eq!(level.as_str().parse::<Level>().unwrap(), level);
        }
        assert_eq!("vm".parse::<Level>().unwrap(), Level::External);
        let refused = "lxc".parse::<Level>().unwrap_err().to_string();
        assert!(refused.contains("lxc") && refused.contains("bubblewrap"), "{refused}");
    }

    #[test]
    fn auto_is_bubblewrap_or_an_error() {
        let expected = if cfg!(target_os = "linux") { Some(Level::Bubblewrap) } else { None };
        assert_eq!("auto".parse::<Level>().ok(), expected);
    }
}
