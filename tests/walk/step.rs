//! The parts of a flow: steps, each one invocation of a function or an action from outside.

use super::http::Request;
use super::world::World;
use crate::prelude::*;

pub(super) struct Flow {
    pub(super) name: &'static str,
    pub(super) final_statuses: &'static [&'static str],
    /// The initial state, created once and copied for every walk.
    pub(super) set_up: SetUp,
    pub(super) steps: Vec<Arc<Step>>,
    pub(super) share: Share,
    /// Also loses the answer of each write to the table.
    pub(super) loses_table_answers: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    Whole,
    /// Only the steps that no other flow walks, and without a repeat where another process continues.
    Own,
}

impl Flow {
    /// Walks only the steps that no other flow walks.
    pub(super) fn only_own_steps(self) -> Self {
        Self { share: Share::Own, ..self }
    }

    pub(super) fn with_lost_table_answers(self) -> Self {
        Self { loses_table_answers: true, ..self }
    }

    pub(super) fn breaks(&self, step: &Step) -> bool {
        self.share == Share::Whole || step.broken_in == BrokenIn::Here
    }
}

pub(super) type SetUp = Box<dyn for<'a> Fn(&'a World) -> BoxFuture<'a, ()> + Send + Sync>;

/// An action that is no invocation: the agent's work, a user at the forge, time. False: not possible yet.
pub(super) type Act = Box<dyn for<'a> Fn(&'a World) -> BoxFuture<'a, bool> + Send + Sync>;

/// Builds a call from the world's notes. `None`: not possible yet.
pub(super) type CallBuilder = Box<dyn Fn(&World) -> Option<Call> + Send + Sync>;

pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) action: Action,
    /// The expected end if the process died and its caller does not repeat the call.
    pub(super) without_repeat: WithoutRepeat,
    pub(super) broken_in: BrokenIn,
    /// The status of a refusal that also answers a repeat: the object is already gone, or already exists.
    pub(super) refusal: Option<&'static str>,
    /// The call is refused in an undisturbed run as well.
    pub(super) is_refused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BrokenIn {
    Here,
    /// In another flow, from an equivalent state. `.only_own_steps()` leaves it out here.
    Elsewhere,
}

pub(super) enum Action {
    Call(CallBuilder),
    Message(&'static str),
    /// Delivers all waiting messages and those that follow. In an undisturbed run each is a step.
    Messages,
    Sweep,
    Act(Act),
}

/// The expected end if no caller repeats a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WithoutRepeat {
    /// The written state leads on by itself; the end is the undisturbed one.
    Heals,
    /// The forge sends a webhook once. Polling finds the event, and the end differs only in the event's source.
    FoundByPolling,
    /// The step happened completely or not. The end is the undisturbed one, or the end without the step.
    AllOrNothing,
    /// Not walked: the caller repeats the call until it is answered. A dead caller is another flow.
    AlwaysRepeated,
    /// As `AllOrNothing`, also with a repeat: a received message is hidden from the repeat for half a minute of real
    /// time.
    HidesMessage,
}

#[derive(Clone)]
pub(super) struct Call {
    pub(super) function: &'static str,
    pub(super) event: Value,
    pub(super) from: From,
    pub(super) on_answer: fn(&World, &Value),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// An HTTP caller; a 2xx is success.
    Http,
    Queue {
        queue: &'static str,
        receipt: String,
    },
    /// A forge, by the number of its call. It does not repeat a call by itself.
    Forge(u64),
    /// A schedule or a rule; every answer except an error is success.
    Aws,
}

impl Step {
    fn new(name: &'static str, does: Action, unrepeated: WithoutRepeat) -> Self {
        Self {
            name,
            action: does,
            without_repeat: unrepeated,
            broken_in: BrokenIn::Here,
            refusal: None,
            is_refused: false,
        }
    }

    pub(super) fn call(name: &'static str, make: impl Fn(&World) -> Option<Call> + Send + Sync + 'static) -> Self {
        Self::new(name, Action::Call(Box::new(make)), WithoutRepeat::AlwaysRepeated)
    }

    pub(super) fn request(name: &'static str, request: Request) -> Self {
        Self::call(name, move |_| Some(request.clone().into()))
    }

    pub(super) fn message(name: &'static str, queue: &'static str) -> Self {
        Self::new(name, Action::Message(queue), WithoutRepeat::Heals)
    }

    pub(super) fn messages() -> Self {
        Self::new("messages", Action::Messages, WithoutRepeat::Heals)
    }

    pub(super) fn wait(time: Duration) -> Self {
        Self::act("time passes", move |world| {
            world.clock.advance(time);
            async { true }.boxed()
        })
    }

    /// Time passes, with a sweep every ten seconds.
    pub(super) fn sweeps(count: usize) -> Self {
        Self::act("the sweeper goes round meanwhile", move |world| {
            async move {
                for _ in 0..count {
                    world.clock.advance(Duration::from_secs(10));
                    world.invoke(&world.sweep_event()).await;
                }
                true
            }
            .boxed()
        })
    }

    pub(super) fn sweep(name: &'static str) -> Self {
        Self::new(name, Action::Sweep, WithoutRepeat::AlwaysRepeated)
    }

    pub(super) fn act(
        name: &'static str,
        act: impl for<'a> Fn(&'a World) -> BoxFuture<'a, bool> + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, Action::Act(Box::new(act)), WithoutRepeat::AlwaysRepeated)
    }

    pub(super) fn without_repeat(self, unrepeated: WithoutRepeat) -> Self {
        Self { without_repeat: unrepeated, ..self }
    }

    pub(super) fn refused_on_repeat(self, status: &'static str) -> Self {
        Self { refusal: Some(status), ..self }
    }

    pub(super) fn always_refused(self, status: &'static str) -> Self {
        Self { is_refused: true, ..self.refused_on_repeat(status) }
    }

    pub(super) fn broken_in(self, walked: BrokenIn) -> Self {
        Self { broken_in: walked, ..self }
    }

    pub(super) fn broken_elsewhere(self) -> Self {
        self.broken_in(BrokenIn::Elsewhere)
    }
}
