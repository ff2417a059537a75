//! What a flow is made of: steps, each one invocation of one function, or something that others do.

use super::world::World;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// One story, from its beginning to an end in which nothing is left to do.
pub(super) struct Flow {
    pub(super) name: &'static str,
    /// How its jobs end where nothing breaks, in the order in which they were made.
    pub(super) ends: &'static [&'static str],
    /// What there is before: done once, and copied for every walk.
    pub(super) set_up: SetUp,
    pub(super) steps: Vec<Arc<Step>>,
    pub(super) share: Share,
}

/// How much of a flow is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    Whole,
    /// Of the steps that no other flow walks, each state that a crash can leave, and where somebody else goes on,
    /// nobody repeats them. The rest is walked on demand.
    Own,
}

impl Flow {
    /// Only what it has and others have not.
    pub(super) fn own(self) -> Self {
        Self { share: Share::Own, ..self }
    }

    pub(super) fn breaks(&self, step: &Step) -> bool {
        self.share == Share::Whole || step.walked == Walked::Here
    }
}

/// What makes what there is before.
pub(super) type SetUp = Box<dyn for<'a> Fn(&'a World) -> BoxFuture<'a, ()> + Send + Sync>;

/// Something that is no invocation: the agent's work, a person at the forge, time. False: not yet.
pub(super) type Act = Box<dyn for<'a> Fn(&'a World) -> BoxFuture<'a, bool> + Send + Sync>;

/// What a call is made of, from what the world knows by then. None: not yet.
pub(super) type Make = Box<dyn Fn(&World) -> Option<Call> + Send + Sync>;

pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) does: Does,
    /// What follows where its process died and its caller does not call again.
    pub(super) unrepeated: Unrepeated,
    pub(super) walked: Walked,
    /// The status of a refusal that is its answer, too: what it was about is gone, or is there, since it was done.
    pub(super) refusal: Option<&'static str>,
    /// It is refused at once, where nothing breaks as well.
    pub(super) is_refused: bool,
}

/// Where the points of a step are broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walked {
    Here,
    /// In another flow, from a state that differs in nothing that the step reads: here only where the whole is walked.
    Elsewhere,
}

pub(super) enum Does {
    Call(Make),
    /// The oldest message of this queue is delivered.
    Message(&'static str),
    /// Every message that waits is delivered, and what follows from them: undisturbed, each is a step.
    Messages,
    /// The schedule's tick.
    Sweep,
    Act(Act),
}

/// What follows where nobody repeats a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unrepeated {
    /// What was written leads on by itself: the end is the undisturbed one.
    Heals,
    /// The same of what a forge tells a webhook once: whoever looks at the forge finds what it was about, and the end is
    /// the undisturbed one but for what says who told it.
    Told,
    /// It happened whole, or not at all: the end is the undisturbed one, or that of a story without the step.
    AllOrNothing,
    /// Not walked: its caller repeats it until it is answered, or dies, which is another story.
    Repeated,
    /// It happened whole, or not at all, also where its caller repeats it: what it took from a queue is hidden from the
    /// repeat for half a minute of the machine's own time, and shows again after the walk.
    Hides,
}

/// One event for one function.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) function: &'static str,
    pub(super) event: Value,
    pub(super) from: From,
    /// What its caller learns from the answer's body.
    pub(super) keep: fn(&World, &Value),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// An HTTP caller, to whom a 2xx is done.
    Http,
    /// A queue, with what its message is deleted by.
    Queue { queue: &'static str, receipt: String },
    /// A forge, which does not come again by itself, by the number of its call.
    Forge(u64),
    /// A schedule or a rule: done is what is no error.
    Aws,
}

impl Step {
    fn of(name: &'static str, does: Does, unrepeated: Unrepeated) -> Self {
        Self { name, does, unrepeated, walked: Walked::Here, refusal: None, is_refused: false }
    }

    pub(super) fn call(name: &'static str, make: impl Fn(&World) -> Option<Call> + Send + Sync + 'static) -> Self {
        Self::of(name, Does::Call(Box::new(make)), Unrepeated::Repeated)
    }

    pub(super) fn message(name: &'static str, queue: &'static str) -> Self {
        Self::of(name, Does::Message(queue), Unrepeated::Heals)
    }

    pub(super) fn messages() -> Self {
        Self::of("messages", Does::Messages, Unrepeated::Heals)
    }

    /// Time passes, and nothing happens meanwhile.
    pub(super) fn wait(time: Duration) -> Self {
        Self::act("time passes", move |world| {
            world.clock.advance(time);
            async { true }.boxed()
        })
    }

    /// Time passes, in which the sweeper goes round as it should.
    pub(super) fn rounds(count: usize) -> Self {
        Self::act("the sweeper goes round meanwhile", move |world| {
            async move {
                for _ in 0..count {
                    world.clock.advance(Duration::from_secs(10));
                    world.invoke(&world.tick()).await;
                }
                true
            }
            .boxed()
        })
    }

    pub(super) fn sweep(name: &'static str) -> Self {
        Self::of(name, Does::Sweep, Unrepeated::Repeated)
    }

    pub(super) fn act(
        name: &'static str,
        act: impl for<'a> Fn(&'a World) -> BoxFuture<'a, bool> + Send + Sync + 'static,
    ) -> Self {
        Self::of(name, Does::Act(Box::new(act)), Unrepeated::Repeated)
    }

    pub(super) fn unrepeated(self, unrepeated: Unrepeated) -> Self {
        Self { unrepeated, ..self }
    }

    /// A refusal with this status is an answer to a repeat.
    pub(super) fn or_refused(self, status: &'static str) -> Self {
        Self { refusal: Some(status), ..self }
    }

    /// It has no other answer.
    pub(super) fn refused(self, status: &'static str) -> Self {
        Self { is_refused: true, ..self.or_refused(status) }
    }

    pub(super) fn walked(self, walked: Walked) -> Self {
        Self { walked, ..self }
    }

    /// Another flow walks it.
    pub(super) fn walked_elsewhere(self) -> Self {
        self.walked(Walked::Elsewhere)
    }
}
