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

    /// One cycle through each step that is its own need and in no cycle before it.
    pub(super) fn cycles(&self) -> Vec<Vec<usize>> {
        let (mut cycles, mut seen) = (Vec::new(), 0);
        for start in (0..self.needs.len()).filter(|step| self.is_before(*step, *step)) {
            if seen >> start & 1 == 0 {
                let cycle = self.cycle_of(start);
                seen |= cycle.iter().fold(0, |all, step| all | 1_u64 << step);
                cycles.push(cycle);
            }
        }
        cycles
    }

    /// The shortest way over needs from the step back to itself.
    fn cycle_of(&self, start: usize) -> Vec<usize> {
        let mut paths = vec![vec![start]];
        let mut seen: Steps = 0;
        while let Some(path) = paths.first().cloned() {
            paths.remove(0);
            let needs = path.last().and_then(|last| self.needs.get(*last)).copied().unwrap_or_default();
            if needs >> start & 1 == 1 {
                return [path, vec![start]].concat();
            }
            let new = needs & !seen;
            seen |= new;
            for need in (0..self.needs.len()).filter(|need| new >> need & 1 == 1) {
                paths.push([path.clone(), vec![need]].concat());
            }
        }
        vec![start]
    }
}
