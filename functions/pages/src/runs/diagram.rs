//! The layout of a diagram of steps: one column for each length of the longest path to a step.

pub(super) const NODE_WIDTH: usize = 188;
pub(super) const NODE_HEIGHT: usize = 54;
const COLUMN: usize = 224;
const ROW: usize = 72;
const MARGIN: usize = 8;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Diagram {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Upper left corners of the nodes, in the order of the steps.
    pub(super) nodes: Vec<(usize, usize)>,
    /// Path of an arrow, and the step at its head.
    pub(super) arrows: Vec<(String, usize)>,
}

impl Diagram {
    /// `needs`: for each step, the indexes of the steps before it.
    pub(super) fn new(needs: &[Vec<usize>]) -> Self {
        let layers = find_layers(needs);
        let count = |layer| layers.iter().filter(|other| **other == layer).count();
        let columns = layers.iter().max().map_or(0, |last| last + 1);
        let tallest = (0..columns).map(count).max().unwrap_or_default();
        let place = |(step, layer): (usize, &usize)| {
            let above = layers.iter().take(step).filter(|other| *other == layer).count();
            let top = (tallest - count(*layer)) * ROW / 2;
            (MARGIN + layer * COLUMN, MARGIN + top + above * ROW)
        };
        let nodes: Vec<_> = layers.iter().enumerate().map(place).collect();
        let arrow = |before: usize, step: usize| {
            let ((left, from), (right, to)) = (nodes.get(before)?, nodes.get(step)?);
            let (left, from, to) = (left + NODE_WIDTH, from + NODE_HEIGHT / 2, to + NODE_HEIGHT / 2);
            let middle = usize::midpoint(left, *right);
            Some((format!("M{left} {from}C{middle} {from} {middle} {to} {right} {to}m-5-4 5 4-5 4"), step))
        };
        let pairs = needs.iter().enumerate().flat_map(|(step, all)| all.iter().map(move |before| (*before, step)));
        Self {
            width: (columns * COLUMN + 2 * MARGIN).saturating_sub(COLUMN - NODE_WIDTH),
            height: (tallest * ROW + 2 * MARGIN).saturating_sub(ROW - NODE_HEIGHT),
            arrows: pairs.filter_map(|(before, step)| arrow(before, step)).collect(),
            nodes,
        }
    }
}

/// A plan has no cycle; the number of rounds is limited all the same.
fn find_layers(needs: &[Vec<usize>]) -> Vec<usize> {
    let mut layers = vec![0; needs.len()];
    for _ in 0..needs.len() {
        let layer =
            |all: &Vec<usize>| all.iter().filter_map(|before| layers.get(*before)).max().map_or(0, |last| last + 1);
        let next: Vec<usize> = needs.iter().map(layer).collect();
        if next == layers {
            break;
        }
        layers = next;
    }
    layers
}
