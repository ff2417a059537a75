//! The order of a plan's steps, as sets of indexes.

use super::PlanStep;

/// Bit `n` is the step with index `n`.
type Steps = u64;

pub(super) struct Graph {
    needs: Vec<Steps>,
    /// All steps that must end before.
    before: Vec<Steps>,
}

impl Graph {
    /// `None`: more steps than a set holds.
    pub(super) fn new(steps: &[PlanStep]) -> Option<Self> {
        if steps.len() > 64 {
            return None;
        }
        let position = |name: &String| steps.iter().position(|step| step.name == *name);
        let of_step = |step: &PlanStep| step.needs.iter().filter_map(position).fold(0, |all, need| all | 1 << need);
        let needs: Vec<Steps> = steps.iter().map(of_step).collect();
        let mut before = needs.clone();
        for through in 0..steps.len() {
            let more = before.get(through).copied().unwrap_or_default();
            before.iter_mut().filter(|all| **all >> through & 1 == 1).for_each(|all| *all |= more);
        }
        Some(Self { needs, before })
    }

    pub(super) fn is_before(&self, earlier: usize, later: usize) -> bool {
        self.before.get(later).is_some_and(|before| before >> earlier & 1 == 1)
    }

    /// The first cycle, from a step back to itself; empty if there is none.
    pub(super) fn find_cycle(&self) -> Vec<usize> {
        let is_in_cycle = |step: &usize| self.is_before(*step, *step);
        let Some(first) = (0..self.needs.len()).find(is_in_cycle) else { return Vec::new() };
        let mut path = vec![first];
        loop {
            // A walk over needs that lie in a cycle with the last step has to repeat one.
            let last = path.last().copied().unwrap_or(first);
            let needs = self.needs.get(last).copied().unwrap_or_default();
            let next = |need: &usize| needs >> need & 1 == 1 && self.is_before(last, *need);
            let Some(need) = (0..self.needs.len()).find(next) else { return path };
            let start = path.iter().position(|step| *step == need);
            path.push(need);
            if let Some(start) = start {
                return path.split_off(start);
            }
        }
    }
}
