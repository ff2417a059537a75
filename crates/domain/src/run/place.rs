//! The place of a run in its group.

use super::Run;
use super::explain::StepWait;
use super::facts::RunFacts;
use super::group::Group;
use super::run_move::Move;
use super::wait::to_fact;

impl Run {
    pub(super) fn group_wait(&self, facts: &RunFacts) -> Option<StepWait> {
        if self.has_place() {
            return None;
        }
        let (group, rule) = (&facts.group.as_ref()?.live, facts.plan.concurrency.as_ref()?);
        let (n, limit) = (group.holders.len(), rule.limit());
        let ahead = group.in_order().into_iter().take_while(|run| **run != self.id).count();
        let is_busy = n + ahead >= limit;
        let (n, limit, ahead) = (to_fact(n), to_fact(limit), to_fact(ahead));
        let first = group.holders.iter().chain(group.in_order()).next().unwrap_or(&self.id).clone();
        is_busy.then(|| StepWait::GroupBusy { n, limit, group: rule.group.clone(), ahead, first })
    }
}

impl Move {
    /// Takes a place in the group, or waits for one in the order of its age.
    pub(super) fn take_place(&mut self, facts: &RunFacts) {
        let Some(of_run) = facts.group.as_ref().filter(|_| !self.run.has_place()) else { return };
        let mut group = of_run.live.clone();
        group.holders.remove(&self.run.id);
        if facts.block.is_none() && self.run.group_wait(facts).is_none() {
            self.run.placed = Some(self.run.since);
            group.waiting.remove(&self.run.id);
            group.holders.insert(self.run.id.clone());
        } else if !group.waiting.contains_key(&self.run.id) {
            // It was resumed. No limit applies to resumes, each of which is a user's.
            let order = facts.plan.priority.unwrap_or_default().order(self.run.since);
            group.waiting.insert(self.run.id.clone(), order);
        }
        self.change_group(group, facts);
    }

    pub(super) fn leave_group(&mut self, facts: &RunFacts) {
        let Some(of_run) = &facts.group else { return };
        let mut group = of_run.live.clone();
        group.remove(&self.run.id);
        self.change_group(group, facts);
    }

    fn change_group(&mut self, group: Group, facts: &RunFacts) {
        let is_changed = facts.group.as_ref().is_some_and(|facts| facts.stored != group);
        self.group = is_changed.then_some(Group { changed: facts.now, ..group });
    }
}
