//! Prediction of tree ensembles over columns.
//!
//! Rows go through the trees in tiles of 64, tree by tree, 16 rows at a time: each step of a walk waits for memory,
//! and 16 independent walks hide it. A tile holds the features as single precision, as training saw them, in lines of
//! 16 rows of one feature. A missing value goes where the node says; so that the walk needs no branch, a tile has up to
//! two copies of a feature, with missing values as minus infinity (left at every threshold) and as plus infinity
//! (right at every threshold).
//!
//! Shallow trees of numeric splits are padded to complete binary trees, whose children are found by arithmetic; the
//! others (deep ones, and those with splits by category) keep their nodes, and their leaves point to themselves.
//! Positions in padded trees and tiles are masked with a power of two, which spares the check of bounds.

use crate::ml::preprocess::{Column, Frame};

/// Rows in a tile.
const TILE_ROWS: usize = 64;
/// Rows walked at once.
const LANES: usize = 16;
/// The deepest tree that is padded.
const MAX_PADDED_DEPTH: usize = 8;
/// The most lines of a block for which trees are padded; a forest that uses more features is walked.
const MAX_PADDED_LINES: usize = 256;
/// The deepest tree at all.
const MAX_DEPTH: usize = 64;

/// The nodes of all trees, as stored. Children of a node are neighbours; a node without children is a leaf.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Nodes {
    /// Feature that the node tests.
    pub(crate) feature: Vec<u32>,
    /// Threshold (a smaller value goes left), or a leaf's value.
    pub(crate) value: Vec<f32>,
    /// Position of the left child within the tree, 0 for a leaf; the right child follows it.
    pub(crate) left: Vec<u32>,
    /// 1 where a missing value goes left.
    pub(crate) default_left: Vec<u8>,
    /// 0 for a numeric test, else 1 + position in `sets` of the categories that go left.
    pub(crate) set: Vec<u32>,
}

/// An ensemble of trees.
#[derive(Debug, Clone)]
pub(crate) struct Forest {
    /// For each feature the number of its slots, 0 for a number.
    slots: Vec<u32>,
    base: Vec<f64>,
    /// First node of each tree, and the end.
    starts: Vec<u32>,
    /// The score that each tree adds to.
    outputs: Vec<u32>,
    nodes: Nodes,
    /// Sets of categories: a number of words, then the words, a bit for each category.
    sets: Vec<u32>,
    kernel: Kernel,
}

/// One feature of 16 rows.
type Line = [f32; LANES];

#[derive(Debug, Clone, Copy)]
struct Node {
    column: u32,
    threshold: f32,
}

#[derive(Debug, Clone, Copy)]
struct Walk {
    column: u32,
    threshold: f32,
    left: u32,
    /// 0 for a numeric test, else 1 + position in the sets.
    set: u32,
}

#[derive(Debug, Clone)]
enum Tree {
    /// `2^depth` nodes, the first of which is unused, and `2^depth` leaves.
    Padded { depth: usize, first_node: usize, first_leaf: usize },
    /// Nodes from `first` on; `values` has a leaf's value at the node's place.
    Walked { depth: usize, first: usize, n: usize, has_sets: bool },
}

/// What prediction reads, made from the nodes.
#[derive(Debug, Clone, Default)]
struct Kernel {
    /// The columns of a tile: a feature, and whether its missing values go left.
    columns: Vec<(usize, bool)>,
    /// The numbers that no tree tests.
    untested: Vec<usize>,
    trees: Vec<Tree>,
    padded: Vec<Node>,
    leaves: Vec<f32>,
    walked: Vec<Walk>,
    values: Vec<f32>,
}

impl Forest {
    /// A forest, every link checked: `None` if a tree is damaged. `base` has one value for each score.
    pub(crate) fn new(
        slots: Vec<u32>,
        base: Vec<f64>,
        starts: Vec<u32>,
        outputs: Vec<u32>,
        nodes: Nodes,
        sets: Vec<u32>,
    ) -> Option<Self> {
        let mut forest =
            Self { slots, base, starts, outputs, nodes, sets, kernel: Kernel::default() };
        let depths = forest.check()?;
        forest.kernel = Kernel::new(&forest, &depths);
        Some(forest)
    }

    /// The parts that [`Forest::new`] takes, for the artefact.
    pub(crate) fn parts(&self) -> (&[f64], &[u32], &[u32], &Nodes, &[u32]) {
        (&self.base, &self.starts, &self.outputs, &self.nodes, &self.sets)
    }

    /// Checks every length and link, and returns the trees' depths.
    fn check(&self) -> Option<Vec<usize>> {
        let n = self.nodes.value.len();
        let lengths = [
            self.nodes.feature.len(),
            self.nodes.left.len(),
            self.nodes.default_left.len(),
            self.nodes.set.len(),
        ];
        let ends_fit =
            self.starts.first() == Some(&0) && self.starts.last().map(|e| *e as usize) == Some(n);
        let finite = self.base.iter().all(|b| b.is_finite())
            && self.nodes.value.iter().all(|v| v.is_finite());
        if lengths != [n; 4] || !ends_fit || !finite || self.starts.len() != self.outputs.len() + 1
        {
            return None;
        }
        if self.outputs.iter().any(|o| *o as usize >= self.base.len())
            || self.base.is_empty()
            || self.slots.is_empty()
        {
            return None;
        }
        self.starts
            .windows(2)
            .map(|pair| self.check_tree(pair[0] as usize, pair[1] as usize))
            .collect()
    }

    fn check_tree(&self, from: usize, until: usize) -> Option<usize> {
        if from >= until || until > self.nodes.left.len() {
            return None;
        }
        let n = until - from;
        // Children stand behind their parent and belong to one parent only, so that a walk ends.
        let mut depth = vec![usize::MAX; n];
        depth[0] = 0;
        let mut deepest = 0;
        for i in 0..n {
            if depth[i] == usize::MAX || depth[i] > MAX_DEPTH {
                return None;
            }
            deepest = deepest.max(depth[i]);
            let left = self.nodes.left[from + i] as usize;
            if left == 0 {
                continue;
            }
            if left <= i
                || left + 1 >= n
                || depth[left] != usize::MAX
                || depth[left + 1] != usize::MAX
            {
                return None;
            }
            if !self.test_fits(from + i) {
                return None;
            }
            depth[left] = depth[i] + 1;
            depth[left + 1] = depth[i] + 1;
        }
        Some(deepest)
    }

    /// Whether a node tests a feature that exists: numbers by threshold, categories by set.
    fn test_fits(&self, node: usize) -> bool {
        let Some(n_slots) = self.slots.get(self.nodes.feature[node] as usize) else { return false };
        let Some(start) = (self.nodes.set[node] as usize).checked_sub(1) else {
            return *n_slots == 0;
        };
        if *n_slots == 0 {
            return false;
        }
        self.sets.get(start).is_some_and(|n_words| (*n_words as usize) < self.sets.len() - start)
    }

    /// Scores, output by output: score `k` of row `i` is at `k * n_rows + i`. `None` for a value that single
    /// precision cannot hold.
    pub(crate) fn scores(&self, frame: &Frame<'_>) -> Option<Vec<f64>> {
        let n = frame.n_rows;
        let k = self.base.len();
        if self.kernel.untested.iter().any(|feature| overflows(frame.columns[*feature])) {
            return None;
        }
        let mut scores = vec![0.0; n * k];
        let stride = self.kernel.stride();
        let mut tile = vec![[0f32; LANES]; stride * (TILE_ROWS / LANES)];
        let mut sums = vec![0f64; k * TILE_ROWS];
        for from in (0..n).step_by(TILE_ROWS) {
            let rows = TILE_ROWS.min(n - from);
            self.fill_tile(frame, from, rows, &mut tile)?;
            for (sums, base) in sums.chunks_mut(TILE_ROWS).zip(&self.base) {
                sums.fill(*base);
            }
            self.kernel.add(&self.outputs, &self.sets, &tile, &mut sums, rows);
            for (output, sums) in sums.chunks(TILE_ROWS).enumerate() {
                scores[output * n + from..output * n + from + rows].copy_from_slice(&sums[..rows]);
            }
        }
        Some(scores)
    }

    /// A tile is blocks of 16 rows, a block is lines of one feature. Rows beyond the last one are left as they are.
    fn fill_tile(
        &self,
        frame: &Frame<'_>,
        from: usize,
        rows: usize,
        tile: &mut [Line],
    ) -> Option<()> {
        let blocks = tile.chunks_mut(self.kernel.stride());
        for (block, first) in blocks.zip((from..from + rows).step_by(LANES)) {
            let range = first..(first + LANES).min(from + rows);
            for (line, (feature, left)) in block.iter_mut().zip(&self.kernel.columns) {
                let missing = if *left { f32::NEG_INFINITY } else { f32::INFINITY };
                match frame.columns[*feature] {
                    Column::Number(values) => {
                        let mut overflows = false;
                        for (out, value) in line.iter_mut().zip(&values[range.clone()]) {
                            let single = *value as f32;
                            overflows |= single.is_infinite();
                            *out = if single.is_nan() { missing } else { single };
                        }
                        if overflows {
                            return None;
                        }
                    }
                    Column::Category(slots) => {
                        let n_slots = self.slots[*feature];
                        for (out, slot) in line.iter_mut().zip(&slots[range.clone()]) {
                            *out = if *slot < n_slots { *slot as f32 } else { missing };
                        }
                    }
                }
            }
        }
        Some(())
    }
}

/// Whether a column has a number that single precision cannot hold.
fn overflows(column: Column<'_>) -> bool {
    match column {
        Column::Number(values) => {
            values.iter().fold(false, |found, value| found | (*value as f32).is_infinite())
        }
        Column::Category(_) => false,
    }
}

/// Whether a category is in the set; an unseen one is in none.
#[inline]
fn contains(sets: &[u32], start: usize, category: usize) -> bool {
    let n_words = sets[start] as usize;
    let word = category / 32;
    word < n_words && sets[start + 1 + word] >> (category % 32) & 1 == 1
}

impl Kernel {
    fn new(forest: &Forest, depths: &[usize]) -> Self {
        let mut kernel = Kernel::default();
        let is_wide = 2 * forest.slots.len() > MAX_PADDED_LINES;
        for (tree, pair) in forest.starts.windows(2).enumerate() {
            let (from, until) = (pair[0] as usize, pair[1] as usize);
            let has_sets = forest.nodes.set[from..until]
                .iter()
                .zip(&forest.nodes.left[from..until])
                .any(|(s, l)| *s > 0 && *l > 0);
            if has_sets || is_wide || depths[tree] > MAX_PADDED_DEPTH {
                kernel.push_walked(forest, from, until, depths[tree], has_sets);
            } else {
                kernel.push_padded(forest, from, depths[tree]);
            }
        }
        let is_tested = |feature: usize| kernel.columns.iter().any(|(f, _)| *f == feature);
        let numbers = (0..forest.slots.len()).filter(|f| forest.slots[*f] == 0);
        kernel.untested = numbers.filter(|f| !is_tested(*f)).collect();
        if kernel.columns.is_empty() {
            kernel.columns.push((0, true));
        }
        kernel
    }

    /// Lines of a block: a power of two for which there is a kernel, if trees are padded.
    fn stride(&self) -> usize {
        match self.columns.len() {
            0..=16 => 16,
            17..=64 => 64,
            65..=MAX_PADDED_LINES => MAX_PADDED_LINES,
            more => more,
        }
    }

    fn column(&mut self, feature: usize, left: bool) -> u32 {
        let position =
            self.columns.iter().position(|c| *c == (feature, left)).unwrap_or_else(|| {
                self.columns.push((feature, left));
                self.columns.len() - 1
            });
        position as u32
    }

    fn push_padded(&mut self, forest: &Forest, from: usize, depth: usize) {
        let n = 1usize << depth;
        let (first_node, first_leaf) = (self.padded.len(), self.leaves.len());
        self.padded.resize(first_node + n, Node { column: 0, threshold: 0.0 });
        self.leaves.resize(first_leaf + n, 0.0);
        self.trees.push(Tree::Padded { depth, first_node, first_leaf });
        self.pad(forest, from, 0, (1, depth), (first_node, first_leaf));
    }

    /// Puts the node at `place` of the complete tree, whose root is 1 and whose children are at `2 * place` and
    /// `2 * place + 1`; below a leaf every path ends in the leaf's value.
    fn pad(
        &mut self,
        forest: &Forest,
        from: usize,
        node: usize,
        (place, depth): (usize, usize),
        first: (usize, usize),
    ) {
        let left = forest.nodes.left[from + node] as usize;
        if depth == 0 {
            let n_leaves = self.leaves.len() - first.1;
            self.leaves[first.1 + place - n_leaves] = forest.nodes.value[from + node];
            return;
        }
        let (left, right) = if left == 0 {
            (node, node)
        } else {
            let default_left = forest.nodes.default_left[from + node] != 0;
            let column = self.column(forest.nodes.feature[from + node] as usize, default_left);
            self.padded[first.0 + place] =
                Node { column, threshold: forest.nodes.value[from + node] };
            (left, left + 1)
        };
        self.pad(forest, from, left, (2 * place, depth - 1), first);
        self.pad(forest, from, right, (2 * place + 1, depth - 1), first);
    }

    fn push_walked(
        &mut self,
        forest: &Forest,
        from: usize,
        until: usize,
        depth: usize,
        has_sets: bool,
    ) {
        let first = self.walked.len();
        for node in from..until {
            let left = forest.nodes.left[node];
            let walk = if left == 0 {
                // Leads to itself: no value is at or above NaN, and 0 is no set.
                Walk { column: 0, threshold: f32::NAN, left: (node - from) as u32, set: 0 }
            } else {
                let default_left = forest.nodes.default_left[node] != 0;
                let column = self.column(forest.nodes.feature[node] as usize, default_left);
                Walk {
                    column,
                    threshold: forest.nodes.value[node],
                    left,
                    set: forest.nodes.set[node],
                }
            };
            self.walked.push(walk);
            self.values.push(forest.nodes.value[node]);
        }
        self.trees.push(Tree::Walked { depth, first, n: until - from, has_sets });
    }

    /// Adds every tree's leaf to the sums of its score.
    fn add(&self, outputs: &[u32], sets: &[u32], tile: &[Line], sums: &mut [f64], rows: usize) {
        let stride = self.stride();
        for (tree, output) in self.trees.iter().zip(outputs) {
            let sums = &mut sums[*output as usize * TILE_ROWS..(*output as usize + 1) * TILE_ROWS];
            let blocks = tile.chunks_exact(stride).zip(sums.chunks_exact_mut(LANES));
            for (block, sums) in blocks.take(rows.div_ceil(LANES)) {
                match *tree {
                    Tree::Padded { depth, first_node, first_leaf } => {
                        let nodes = &self.padded[first_node..first_node + (1 << depth)];
                        let leaves = &self.leaves[first_leaf..first_leaf + (1 << depth)];
                        match stride {
                            16 => padded::<16>(nodes, leaves, block, sums),
                            64 => padded::<64>(nodes, leaves, block, sums),
                            _ => padded::<MAX_PADDED_LINES>(nodes, leaves, block, sums),
                        }
                    }
                    Tree::Walked { depth, first, n, has_sets } => {
                        let nodes = &self.walked[first..first + n];
                        let values = &self.values[first..first + n];
                        if has_sets {
                            let context = (self.columns.as_slice(), sets);
                            walk_with_sets(nodes, values, depth, context, block, sums);
                        } else {
                            walk(nodes, values, depth, block, sums);
                        }
                    }
                }
            }
        }
    }
}

/// Walks a padded tree whose depth is that of the lengths.
fn padded<const LINES: usize>(nodes: &[Node], leaves: &[f32], block: &[Line], sums: &mut [f64]) {
    match nodes.len() {
        1 => walk_padded::<1, LINES>(nodes, leaves, block, sums),
        2 => walk_padded::<2, LINES>(nodes, leaves, block, sums),
        4 => walk_padded::<4, LINES>(nodes, leaves, block, sums),
        8 => walk_padded::<8, LINES>(nodes, leaves, block, sums),
        16 => walk_padded::<16, LINES>(nodes, leaves, block, sums),
        32 => walk_padded::<32, LINES>(nodes, leaves, block, sums),
        64 => walk_padded::<64, LINES>(nodes, leaves, block, sums),
        128 => walk_padded::<128, LINES>(nodes, leaves, block, sums),
        _ => walk_padded::<256, LINES>(nodes, leaves, block, sums),
    }
}

/// Walks 16 rows through a tree of `NODES` nodes. Both sizes are powers of two, and the masks change no position.
#[inline]
fn walk_padded<const NODES: usize, const LINES: usize>(
    nodes: &[Node],
    leaves: &[f32],
    block: &[Line],
    sums: &mut [f64],
) {
    let (Ok(nodes), Ok(leaves)) =
        (<&[Node; NODES]>::try_from(nodes), <&[f32; NODES]>::try_from(leaves))
    else {
        return;
    };
    let Ok(block) = <&[Line; LINES]>::try_from(block) else { return };
    let mut places = [1usize; LANES];
    for _ in 0..NODES.trailing_zeros() {
        for (lane, place) in places.iter_mut().enumerate() {
            let node = nodes[*place & (NODES - 1)];
            let value = block[node.column as usize & (LINES - 1)][lane];
            *place = 2 * *place + usize::from(value >= node.threshold);
        }
    }
    for (sum, place) in sums.iter_mut().zip(places) {
        *sum += f64::from(leaves[place & (NODES - 1)]);
    }
}

#[inline]
fn walk(nodes: &[Walk], values: &[f32], depth: usize, block: &[Line], sums: &mut [f64]) {
    let mut places = [0usize; LANES];
    for _ in 0..depth {
        for (lane, place) in places.iter_mut().enumerate() {
            let node = nodes[*place];
            let value = block[node.column as usize][lane];
            *place = node.left as usize + usize::from(value >= node.threshold);
        }
    }
    for (sum, place) in sums.iter_mut().zip(places) {
        *sum += f64::from(values[place]);
    }
}

/// As [`walk`], with tests of categories. An unseen category (infinite in the tile) goes where missing values go.
fn walk_with_sets(
    nodes: &[Walk],
    values: &[f32],
    depth: usize,
    (columns, sets): (&[(usize, bool)], &[u32]),
    block: &[Line],
    sums: &mut [f64],
) {
    let mut places = [0usize; LANES];
    for _ in 0..depth {
        for (lane, place) in places.iter_mut().enumerate() {
            let node = nodes[*place];
            let value = block[node.column as usize][lane];
            let right = if node.set == 0 {
                value >= node.threshold
            } else if value.is_infinite() {
                !columns[node.column as usize].1
            } else {
                !contains(sets, node.set as usize - 1, value as usize)
            };
            *place = node.left as usize + usize::from(right);
        }
    }
    for (sum, place) in sums.iter_mut().zip(places) {
        *sum += f64::from(values[place]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A deterministic stream of numbers.
    fn draws() -> impl FnMut() -> u64 {
        let mut state = 3u64;
        move || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state >> 33
        }
    }

    /// Trees of random shape: numbers in features 0 and 1, a category of 40 slots in feature 2.
    fn forest(n_trees: usize, depth: usize, with_sets: bool) -> Forest {
        let mut draw = draws();
        let mut nodes = Nodes::default();
        let mut sets = Vec::new();
        let (mut starts, mut outputs) = (vec![0u32], Vec::new());
        for tree in 0..n_trees {
            let from = nodes.value.len();
            let mut open = vec![0usize];
            let mut next = 1u32;
            while !open.is_empty() {
                let level = open.remove(0);
                let is_leaf = level == depth || draw().is_multiple_of(8);
                let feature = if with_sets { draw() % 3 } else { draw() % 2 } as u32;
                nodes.feature.push(if is_leaf { 0 } else { feature });
                nodes.value.push((draw() % 1000) as f32 / 500.0 - 1.0);
                nodes.default_left.push((draw() % 2) as u8);
                nodes.set.push(0);
                nodes.left.push(if is_leaf { 0 } else { next });
                if !is_leaf {
                    next += 2;
                    open.extend([level + 1, level + 1]);
                    if feature == 2 {
                        *nodes.set.last_mut().unwrap() = sets.len() as u32 + 1;
                        sets.extend([2, draw() as u32, draw() as u32 & 0xff]);
                    }
                }
            }
            assert!(nodes.value.len() > from);
            starts.push(nodes.value.len() as u32);
            outputs.push((tree % 2) as u32);
        }
        Forest::new(vec![0, 0, 40], vec![0.5, -0.25], starts, outputs, nodes, sets).unwrap()
    }

    /// Row by row, node by node.
    fn naive(forest: &Forest, numbers: [&[f64]; 2], slots: &[u32], row: usize) -> Vec<f64> {
        let mut scores = forest.base.clone();
        for (tree, output) in forest.outputs.iter().enumerate() {
            let from = forest.starts[tree] as usize;
            let mut node = from;
            while forest.nodes.left[node] != 0 {
                let default_left = forest.nodes.default_left[node] == 1;
                let left = match forest.nodes.feature[node] as usize {
                    2 if slots[row] >= 40 => default_left,
                    2 => contains(
                        &forest.sets,
                        forest.nodes.set[node] as usize - 1,
                        slots[row] as usize,
                    ),
                    feature => match numbers[feature][row] as f32 {
                        x if x.is_nan() => default_left,
                        x => x < forest.nodes.value[node],
                    },
                };
                node = from + forest.nodes.left[node] as usize + usize::from(!left);
            }
            scores[*output as usize] += f64::from(forest.nodes.value[node]);
        }
        scores
    }

    #[test]
    fn every_kernel_equals_the_naive_walk() {
        let mut draw = draws();
        let n = 203;
        let mut number = || {
            if draw().is_multiple_of(10) { f64::NAN } else { (draw() % 2001) as f64 / 1000.0 - 1.0 }
        };
        let a: Vec<f64> = (0..n).map(|_| number()).collect();
        let b: Vec<f64> = (0..n).map(|_| number()).collect();
        let slots: Vec<u32> = (0..n as u32).map(|i| i * 7 % 44).collect();
        for (depth, with_sets) in
            [(0, false), (1, false), (6, false), (8, false), (11, false), (6, true), (12, true)]
        {
            let forest = forest(30, depth, with_sets);
            let frame = Frame {
                n_rows: n,
                columns: vec![Column::Number(&a), Column::Number(&b), Column::Category(&slots)],
            };
            let scores = forest.scores(&frame).unwrap();
            for row in 0..n {
                let expected = naive(&forest, [&a, &b], &slots, row);
                for (k, expected) in expected.into_iter().enumerate() {
                    assert_eq!(
                        scores[k * n + row].to_bits(),
                        expected.to_bits(),
                        "depth {depth}, row {row}"
                    );
                }
            }
        }
    }

    #[test]
    fn values_beyond_single_precision_are_refused() {
        let frame = Frame {
            n_rows: 1,
            columns: vec![
                Column::Number(&[1e300]),
                Column::Number(&[1e300]),
                Column::Category(&[0]),
            ],
        };
        assert_eq!(forest(5, 3, false).scores(&frame), None);
    }
}
