#!/bin/sh
# Installs pullyard or pullyard-runner @VERSION@. infra/release wrote this script with the hashes of its release.
set -eu

version=@VERSION@
releases=${PULLYARD_RELEASES:-@RELEASES@}
while [ "$releases" != "${releases%/}" ]; do releases=${releases%/}; done
glibc=@GLIBC@
# One line for each archive: its SHA-256 and its name.
hashes='@HASHES@'

usage() {
  cat << TEXT
Usage: sh install.sh [options]

Installs pullyard $version into ~/.local/bin, or into /usr/local/bin as root.

  --runner         install pullyard-runner instead of pullyard
  --dir FOLDER     install into this folder [env: PULLYARD_INSTALL_DIR]
  --version V      install another release, by its own install.sh [env: PULLYARD_VERSION]
  --force          replace a program that cargo or a package manager installed
  -h, --help       this text

Another address of the releases: PULLYARD_RELEASES=https://mirror.example/pullyard

Examples:
  curl -fsSL ${releases:-ADDRESS}/install.sh | sh
  curl -fsSL ${releases:-ADDRESS}/install.sh | sh -s -- --runner --dir /usr/local/bin
TEXT
}

die() {
  echo "install.sh: $1. Nothing was installed." >&2
  exit 1
}

from_source() {
  die "$1; build it from source instead, in a checkout of Pullyard: cargo install --path crates/$crate --locked"
}

download() { # URL FILE
  if command -v curl > /dev/null 2>&1; then
    case $1 in https:*) redirects='=https' ;; *) redirects='=http,https' ;; esac
    # A transfer without any byte for 30 s ends.
    curl --fail --silent --show-error --location --proto-redir "$redirects" --connect-timeout 15 \
      --speed-limit 1 --speed-time 30 --retry 3 --output "$2" "$1"
  elif command -v wget > /dev/null 2>&1; then
    redirects=''
    case $1 in
      https:*/install.sh)
        # No hash protects an installer, so no redirect may lead to http.
        wget --version 2> /dev/null | grep -q '^GNU Wget' || die "--version needs curl or GNU wget"
        redirects=--max-redirect=0
        ;;
    esac
    wget --quiet ${redirects:+"$redirects"} --timeout=15 --tries=3 --output-document="$2" "$1"
  else
    die "curl or wget is needed"
  fi || die "cannot download $1"
}

sha256_of() {
  if command -v sha256sum > /dev/null 2>&1; then
    sum=$(sha256sum "$1")
  elif command -v shasum > /dev/null 2>&1; then
    sum=$(shasum -a 256 "$1")
  else
    die "sha256sum or shasum is needed to verify the download"
  fi
  echo "${sum%% *}"
}

# Prints the target of this machine. The programs are linked against glibc.
target() {
  case $(uname -m) in
    x86_64 | amd64) machine=x86_64 ;;
    aarch64 | arm64) machine=aarch64 ;;
    *) from_source "there is no program for $(uname -m)" ;;
  esac
  case $(uname -s) in
    Linux) ;;
    Darwin) echo "$machine-apple-darwin"; return ;;
    *) from_source "there is no program for $(uname -s)" ;;
  esac
  found=$(getconf GNU_LIBC_VERSION 2> /dev/null) || found=''
  found=${found#glibc }
  case $found in
    [0-9]*.[0-9]*) ;;
    *) from_source "this system has no glibc" ;;
  esac
  if [ "${found%%.*}" -lt "${glibc%%.*}" ] ||
    { [ "${found%%.*}" -eq "${glibc%%.*}" ] && [ "$(echo "$found" | cut -d . -f 2)" -lt "${glibc#*.}" ]; }; then
    from_source "glibc $found is older than $glibc"
  fi
  echo "$machine-unknown-linux-gnu"
}

main() {
  program=pullyard crate=cli wanted=${PULLYARD_VERSION:-} dir=${PULLYARD_INSTALL_DIR:-} force=no
  while [ $# -gt 0 ]; do
    case $1 in
      --runner) program=pullyard-runner crate=runner ;;
      --force) force=yes ;;
      -h | --help) usage; exit 0 ;;
      --dir | --version)
        [ $# -ge 2 ] && [ -n "$2" ] || die "$1 needs a value"
        if [ "$1" = --dir ]; then dir=$2; else wanted=$2; fi
        shift
        ;;
      *) die "unknown option $1; --help lists the options" ;;
    esac
    shift
  done
  [ -n "$releases" ] || die "set PULLYARD_RELEASES to the address of the releases"
  if [ -z "$dir" ]; then
    if [ "$(id -u)" = 0 ]; then
      dir=/usr/local/bin
    else
      [ -n "${HOME:-}" ] || die "HOME is not set; name a folder with --dir"
      dir=$HOME/.local/bin
    fi
  fi
  temporary=$(mktemp -d) || die "cannot create a temporary folder"
  unfinished=
  trap 'rm -rf "$temporary"; [ -z "$unfinished" ] || rm -f "$unfinished"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM

  if [ -n "$wanted" ] && [ "$wanted" != "$version" ]; then
    case $wanted in *[!0-9A-Za-z.+-]*) die "$wanted is no version" ;; esac
    download "$releases/$wanted/install.sh" "$temporary/install.sh"
    grep -qxF "version=$wanted" "$temporary/install.sh" ||
      die "$releases/$wanted/install.sh is not the installer of $wanted"
    set -- --dir "$dir"
    [ "$program" = pullyard ] || set -- "$@" --runner
    [ "$force" = no ] || set -- "$@" --force
    PULLYARD_RELEASES=$releases PULLYARD_VERSION='' sh "$temporary/install.sh" "$@"
    return
  fi

  # In a variable of its own, so that a refusal in the function ends the script.
  target=$(target)
  archive=$program-$target.tar.gz
  expected=$(echo "$hashes" | while read -r hash name; do [ "$name" != "$archive" ] || echo "$hash"; done)
  [ -n "$expected" ] || from_source "release $version has no program for $target"
  [ ! -d "$dir/$program" ] || die "$dir/$program is a folder; name another folder with --dir"
  if [ "$force" = no ] && [ -e "$dir/$program" ]; then
    if { grep -qF "\"pullyard-$crate " "$dir/../.crates.toml" || dpkg -S "$dir/$program" || rpm -qf "$dir/$program"; } \
      > /dev/null 2>&1; then
      die "cargo or a package manager installed $dir/$program; --force replaces it"
    fi
  fi
  echo "$program $version for $target"

  download "$releases/$version/$archive" "$temporary/$archive"
  found=$(sha256_of "$temporary/$archive")
  [ "$found" = "$expected" ] || die "$archive is damaged or was replaced: expected $expected, received $found"
  echo "  verified  sha256 $found (written in this script)"
  tar -xzf "$temporary/$archive" -C "$temporary" || die "cannot unpack $archive"

  mkdir -p "$dir" || die "cannot create $dir"
  dir=$(CDPATH='' cd -- "$dir" && pwd)
  # In the same folder, so that the rename is atomic and a running program is not written to. A temporary folder may be
  # mounted without the right to start programs.
  unfinished=$dir/.$program.$$
  cp "$temporary/$program" "$unfinished" || die "cannot write into $dir"
  chmod 755 "$unfinished"
  "$unfinished" --version > "$temporary/version" 2>&1 ||
    die "the program does not start here: $(head -n 1 "$temporary/version")"
  mv -f "$unfinished" "$dir/$program" || die "cannot replace $dir/$program"
  unfinished=
  echo "  installed $dir/$program"

  case :${PATH:-}: in
    *":$dir:"*)
      first=$(command -v "$program" || true)
      [ "$first" = "$dir/$program" ] || echo "  warning: PATH finds $first first"
      ;;
    *) echo "  to find it, add to your shell's profile: export PATH=\"$dir:\$PATH\"" ;;
  esac
  if [ "$program" = pullyard ]; then echo "Next: pullyard demo"; else echo "Next: pullyard-runner check"; fi
}

# A truncated script runs nothing: the braces are incomplete.
{ main "$@"; }
