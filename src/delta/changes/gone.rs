//! The rows that go, as bitmaps: one bit per row, in pages that exist where rows go.

use crate::error::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use parquet::arrow::arrow_reader::RowSelector;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// Rows of a page.
const PAGE_ROWS: u64 = 64 * 1024;
const PAGE_WORDS: usize = (PAGE_ROWS / 64) as usize;
const PAGE_BYTES: usize = PAGE_WORDS * 8;

type Page = Box<[u64; PAGE_WORDS]>;

/// A set of (file, row).
#[derive(Debug)]
pub(super) struct GoneRows {
    pages: Vec<Page>,
    index: HashMap<(usize, u64), usize>,
    /// The page of the last insert: changes come in runs.
    last: Option<((usize, u64), usize)>,
    counts: BTreeMap<usize, u64>,
    reservation: MemoryReservation,
}

impl GoneRows {
    /// An empty set, whose memory is taken from `reservation`.
    pub(super) fn new(reservation: MemoryReservation) -> Self {
        Self {
            pages: vec![],
            index: HashMap::new(),
            last: None,
            counts: BTreeMap::new(),
            reservation,
        }
    }

    /// Adds a row; false if it was there.
    ///
    /// # Errors
    /// 53200 if there is no memory left.
    pub(super) fn insert(&mut self, file: usize, row: u64) -> Result<bool> {
        let key = (file, row / PAGE_ROWS);
        let page = match (self.last, self.index.get(&key)) {
            (Some((last, page)), _) if last == key => page,
            (_, Some(page)) => *page,
            (_, None) => {
                self.reservation.try_grow(PAGE_BYTES)?;
                self.pages.push(Box::new([0; PAGE_WORDS]));
                self.index.insert(key, self.pages.len() - 1);
                self.pages.len() - 1
            }
        };
        self.last = Some((key, page));
        let (word, bit) = place(row);
        let word = &mut self.pages[page][word];
        if *word & bit != 0 {
            return Ok(false);
        }
        *word |= bit;
        *self.counts.entry(file).or_default() += 1;
        Ok(true)
    }

    /// The files that lose rows, ascending.
    pub(super) fn files(&self) -> impl Iterator<Item = usize> {
        self.counts.keys().copied()
    }

    /// How many rows a file loses.
    pub(super) fn count(&self, file: usize) -> u64 {
        self.counts.get(&file).copied().unwrap_or(0)
    }

    /// Which of a file's rows stay, as runs to read and to skip; `None` if all do.
    pub(super) fn selection(&self, file: usize, rows: &Range<u64>) -> Option<Vec<RowSelector>> {
        let mut runs = Runs::default();
        let mut row = rows.start;
        while row < rows.end {
            let page_number = row / PAGE_ROWS;
            let end = rows.end.min((page_number + 1) * PAGE_ROWS);
            match self.index.get(&(file, page_number)) {
                None => runs.push(false, end - row),
                Some(page) => {
                    while row < end {
                        let (word, _) = place(row);
                        let word = self.pages[*page][word];
                        let until = end.min((row / 64 + 1) * 64);
                        if word == 0 {
                            runs.push(false, until - row);
                            row = until;
                            continue;
                        }
                        while row < until {
                            let (_, bit) = place(row);
                            runs.push(word & bit != 0, 1);
                            row += 1;
                        }
                    }
                }
            }
            row = end;
        }
        runs.skips.then_some(runs.selectors)
    }
}

fn place(row: u64) -> (usize, u64) {
    let in_page = row % PAGE_ROWS;
    ((in_page / 64) as usize, 1 << (in_page % 64))
}

#[derive(Default)]
struct Runs {
    selectors: Vec<RowSelector>,
    skips: bool,
}

impl Runs {
    fn push(&mut self, skip: bool, rows: u64) {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        self.skips |= skip;
        match self.selectors.last_mut() {
            Some(run) if run.skip == skip => run.row_count += rows,
            _ if skip => self.selectors.push(RowSelector::skip(rows)),
            _ => self.selectors.push(RowSelector::select(rows)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::execution::memory_pool::{
        GreedyMemoryPool, MemoryConsumer, MemoryPool, UnboundedMemoryPool,
    };
    use std::sync::Arc;

    fn on(pool: Arc<dyn MemoryPool>) -> GoneRows {
        GoneRows::new(MemoryConsumer::new("test").register(&pool))
    }

    #[test]
    fn runs_cover_the_range() {
        let mut gone = on(Arc::new(UnboundedMemoryPool::default()));
        for row in [0, 63, 64, 65, PAGE_ROWS - 1, PAGE_ROWS, 3 * PAGE_ROWS + 5] {
            assert!(gone.insert(1, row).expect("memory"));
            assert!(!gone.insert(1, row).expect("memory"));
        }
        assert!(gone.insert(7, 5).expect("memory"));
        assert_eq!((gone.count(1), gone.count(7), gone.count(0)), (7, 1, 0));
        assert_eq!(gone.files().collect::<Vec<_>>(), [1, 7]);
        let runs = |range: Range<u64>| {
            let runs = gone.selection(1, &range)?;
            Some(runs.into_iter().map(|r| (r.skip, r.row_count)).collect::<Vec<_>>())
        };
        let shown = |runs: &[(bool, usize)]| Some(runs.to_vec());
        assert_eq!(runs(0..70), shown(&[(true, 1), (false, 62), (true, 3), (false, 4)]));
        assert_eq!(runs(1..63), None);
        let end = PAGE_ROWS + 1;
        assert_eq!(runs(end - 3..end + 1), shown(&[(false, 1), (true, 2), (false, 1)]));
        assert_eq!(runs(2 * PAGE_ROWS..3 * PAGE_ROWS), None);
        assert_eq!(runs(2 * PAGE_ROWS..3 * PAGE_ROWS + 6), shown(&[(false, 65_541), (true, 1)]));
        assert_eq!(gone.selection(2, &(0..10)), None);
    }

    #[test]
    fn memory_is_reserved() {
        let mut gone = on(Arc::new(GreedyMemoryPool::new(2 * PAGE_BYTES)));
        assert!(gone.insert(0, 0).is_ok() && gone.insert(1, 0).is_ok());
        let error = gone.insert(2, 0).expect_err("no memory left");
        assert_eq!(error.code(), crate::sqlstate::SqlState::OutOfMemory);
    }
}
