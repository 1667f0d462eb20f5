//! A 4-ary min-heap of whole numbers that can tell where each of them stands.

use std::hint::select_unpredictable;

/// Hears where entries are put.
pub(super) trait Places {
    /// `entry` is now at index `at`.
    fn put(&mut self, entry: u128, at: usize);
}

/// Of entries that never move on their own account, nobody needs to know the place.
impl Places for () {
    #[inline]
    fn put(&mut self, _: u128, _: usize) {}
}

/// The least entry leaves first.
///
/// What leaves is usually followed at once by something that comes. So the root stays vacant until the next call,
/// which either takes its place or fills it.
#[derive(Clone, Debug, Default)]
pub(super) struct Heap<P> {
    entries: Vec<u128>,
    is_root_vacant: bool,
    pub(super) places: P,
}

const ARITY: usize = 4;

impl<P: Places> Heap<P> {
    /// An empty heap with room for `capacity` entries.
    pub(super) fn new(capacity: usize, places: P) -> Heap<P> {
        Heap { entries: Vec::with_capacity(capacity), is_root_vacant: false, places }
    }

    /// The least entry.
    #[inline]
    pub(super) fn first(&mut self) -> Option<u128> {
        self.fill_root();
        self.entries.first().copied()
    }

    #[inline]
    pub(super) fn push(&mut self, entry: u128) {
        if std::mem::take(&mut self.is_root_vacant) {
            self.sift_down(0, entry);
        } else {
            self.entries.push(entry);
            self.sift_up(self.entries.len() - 1, entry);
        }
    }

    /// Takes the least entry.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<u128> {
        self.fill_root();
        let first = *self.entries.first()?;
        self.is_root_vacant = true;
        Some(first)
    }

    /// The entry at `at`, as [`Places`] was told.
    ///
    /// Moves nothing, but a vacant root must have been filled, by [`Heap::fill_root`].
    pub(super) fn at(&self, at: usize) -> u128 {
        self.entries[at]
    }

    /// Puts `entry` in place of the one at `at`.
    pub(super) fn replace(&mut self, at: usize, entry: u128) {
        if entry < self.entries[at] {
            self.sift_up(at, entry);
        } else {
            self.sift_down(at, entry);
        }
    }

    /// Removes the entry at `at`.
    pub(super) fn remove(&mut self, at: usize) {
        let last = self.entries.pop().expect("there is an entry at `at`");
        if at < self.entries.len() {
            self.replace(at, last);
        }
    }

    /// All entries, in no order; the heap is empty afterwards.
    pub(super) fn drain(&mut self) -> Vec<u128> {
        self.fill_root();
        std::mem::take(&mut self.entries)
    }

    /// Fills a vacant root, so that places are those of present entries.
    #[inline]
    pub(super) fn fill_root(&mut self) {
        if std::mem::take(&mut self.is_root_vacant) {
            let last = self.entries.pop().expect("a vacant root is an entry");
            if !self.entries.is_empty() {
                self.sift_down(0, last);
            }
        }
    }

    #[inline]
    fn put(&mut self, at: usize, entry: u128) {
        self.entries[at] = entry;
        self.places.put(entry, at);
    }

    /// Puts `entry` at `at` or, while it comes before its parent, above.
    #[inline]
    fn sift_up(&mut self, mut at: usize, entry: u128) {
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if entry > self.entries[parent] {
                break;
            }
            self.put(at, self.entries[parent]);
            at = parent;
        }
        self.put(at, entry);
    }

    /// Puts `entry` at `at` or, while a child comes before it, below.
    #[inline]
    fn sift_down(&mut self, mut at: usize, entry: u128) {
        loop {
            let first = at * ARITY + 1;
            let (child, index) = if let Some(&[a, b, c, d]) = self.entries.get(first..first + ARITY) {
                // Which child is least is as good as random, so a branch would be mispredicted.
                let left = select_unpredictable(b < a, (b, first + 1), (a, first));
                let right = select_unpredictable(d < c, (d, first + 3), (c, first + 2));
                select_unpredictable(right.0 < left.0, right, left)
            } else {
                let rest = self.entries.iter().skip(first).copied().zip(first..);
                let Some(least) = rest.min() else { break };
                least
            };
            if entry < child {
                break;
            }
            self.put(at, child);
            at = index;
        }
        self.put(at, entry);
    }
}
