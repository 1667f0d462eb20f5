//! What lies in memories that page: which parts of what steps use are there, and what it takes to bring the rest.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::model::{LayerId, ModelId};
use crate::plan::{LaneId, StepId, Touch, Touched, Touches};
use crate::platform::{DeviceId, Memory, Paging};
use crate::timeline::PageFaults;
use crate::units::{Bytes, Duration, Time};

/// All memories that page.
#[derive(Clone, Debug, Default)]
pub(super) struct Pager {
    /// By memory; `None` if it does not page.
    pools: Vec<Option<Pool>>,
    /// By place of a plan under way, what it has of its data.
    plans: Vec<Vec<Data>>,
    /// By lane, what the step on it has by itself: the memory and the object.
    scratch: Vec<Vec<(u32, u32)>>,
    /// Steps that waited, as they began.
    faults: Vec<PageFaults>,
}

/// Data of a plan under way, by memory.
#[derive(Clone, Debug, Default)]
struct Data {
    objects: Vec<(u32, u32)>,
    /// Steps that must end before it goes.
    uses: u32,
}

/// A memory that pages. Its objects are in a list by when they were last used: the first is the next to be evicted.
#[derive(Clone, Debug)]
struct Pool {
    paging: Paging,
    free: u64,
    /// Until when it serves faults.
    busy: Time,
    objects: Vec<Object>,
    vacant: Vec<u32>,
    weights: BTreeMap<(DeviceId, ModelId, LayerId), u32>,
}

/// Bytes that are used together.
#[derive(Clone, Copy, Debug)]
struct Object {
    resident: u64,
    before: u32,
    after: u32,
}

/// The object that is no object: before the first of a list, and after its last.
const ENDS: u32 = 0;

/// What a plan uses, with weights as objects of their memories.
#[derive(Clone, Debug)]
pub(super) struct Pages {
    of_step: Vec<Vec<(u32, Page)>>,
    last_uses: Vec<Vec<u32>>,
    uses: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Page {
    what: What,
    bytes: u64,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Weights(u32),
    Data(u32),
    NewData(u32),
    Scratch,
}

impl Pool {
    fn new(memory: &Memory) -> Option<Pool> {
        let (Some(capacity), Some(paging)) = (memory.capacity, memory.paging.clone()) else { return None };
        let ends = Object { resident: 0, before: ENDS, after: ENDS };
        let (weights, vacant) = (BTreeMap::new(), Vec::new());
        Some(Pool { paging, free: capacity.0, busy: Time::ZERO, objects: vec![ends], vacant, weights })
    }

    /// A new object, of which nothing is there.
    fn add(&mut self) -> u32 {
        let object = self.vacant.pop().unwrap_or(self.objects.len() as u32);
        let empty = Object { resident: 0, before: object, after: object };
        match self.objects.get_mut(object as usize) {
            Some(vacant) => *vacant = empty,
            None => self.objects.push(empty),
        }
        object
    }

    /// Takes an object from the list.
    fn unlink(&mut self, object: u32) {
        let Object { before, after, .. } = self.objects[object as usize];
        self.objects[before as usize].after = after;
        self.objects[after as usize].before = before;
    }

    /// The object is the last to be used.
    fn touch(&mut self, object: u32) {
        self.unlink(object);
        let last = self.objects[ENDS as usize].before;
        self.objects[last as usize].after = object;
        self.objects[ENDS as usize].before = object;
        let linked = &mut self.objects[object as usize];
        (linked.before, linked.after) = (last, ENDS);
    }

    /// What is left of the object is gone, and the object too.
    fn remove(&mut self, object: u32) {
        self.unlink(object);
        self.free += self.objects[object as usize].resident;
        self.vacant.push(object);
    }

    /// Brings so many bytes of an object, as far as all others that are evicted leave room. Returns what was missing, and
    /// what was evicted.
    ///
    /// An object is used from its first byte to its last, and its first bytes go first. If it is itself what was used longest
    /// ago, what is left of it goes while its first bytes come, and has to come again.
    fn bring(&mut self, object: u32, bytes: u64) -> (u64, u64) {
        let mut missing = bytes.saturating_sub(self.objects[object as usize].resident);
        let mut evicted = 0;
        while self.free < missing {
            let victim = self.objects[ENDS as usize].after;
            if victim == ENDS {
                break;
            }
            let resident = self.objects[victim as usize].resident;
            let goes = match victim == object {
                true => resident,
                false => (missing - self.free)
                    .div_ceil(self.paging.block.0)
                    .saturating_mul(self.paging.block.0)
                    .min(resident),
            };
            self.objects[victim as usize].resident -= goes;
            evicted += goes;
            self.free += goes;
            if victim == object {
                missing += goes;
            }
            if goes == resident {
                self.unlink(victim);
                let linked = &mut self.objects[victim as usize];
                (linked.before, linked.after) = (victim, victim);
            }
        }
        self.touch(object);
        let missing = missing.min(self.free);
        self.free -= missing;
        self.objects[object as usize].resident += missing;
        (missing, evicted)
    }
}

impl Pager {
    /// The pager of these memories; `None` if none of them pages.
    pub(super) fn new(memories: &[Memory]) -> Option<Pager> {
        let pools: Vec<Option<Pool>> = memories.iter().map(Pool::new).collect();
        pools.iter().any(Option::is_some).then(|| Pager { pools, ..Pager::default() })
    }

    /// What a plan that uses `touches` does here.
    pub(super) fn add(&mut self, touches: Touches) -> Pages {
        let Touches { of_step, last_uses, uses } = touches;
        let mut page = |touch: &Touch| {
            let pool = self.pools[touch.memory.0 as usize].as_mut().expect("only memories that page are touched");
            let what = match touch.what {
                Touched::Weights(device, model, layer) => {
                    What::Weights(match pool.weights.get(&(device, model, layer)) {
                        Some(&object) => object,
                        None => {
                            let object = pool.add();
                            pool.weights.insert((device, model, layer), object);
                            object
                        }
                    })
                }
                Touched::Data(data) => What::Data(data),
                Touched::NewData(data) => What::NewData(data),
                Touched::Scratch => What::Scratch,
            };
            (touch.memory.0, Page { what, bytes: touch.bytes.0 })
        };
        let of_step = of_step.iter().map(|touches| touches.iter().map(&mut page).collect()).collect();
        Pages { of_step, last_uses, uses }
    }

    /// A plan is issued as the one at `place`.
    pub(super) fn issue(&mut self, pages: &Pages, place: u32) {
        let place = place as usize;
        if self.plans.len() <= place {
            self.plans.resize_with(place + 1, Vec::new);
        }
        let plan = &mut self.plans[place];
        debug_assert!(plan.is_empty(), "what was there has been removed");
        plan.extend(pages.uses.iter().map(|&uses| Data { objects: Vec::new(), uses }));
    }

    /// A step of the plan at `place` begins on `lane`, as `number` of all: how long it waits until all that it uses is there.
    pub(super) fn begin(
        &mut self,
        (pages, place): (&Pages, u32),
        step: StepId,
        lane: LaneId,
        now: Time,
        number: StepId,
    ) -> Duration {
        let mut of_pools: SmallVec<[(u32, u64, u64); 2]> = SmallVec::new();
        for &(memory, Page { what, bytes }) in &pages.of_step[step.0 as usize] {
            let pool = self.pools[memory as usize].as_mut().expect("it pages");
            let object = match what {
                What::Weights(object) => object,
                What::Data(data) | What::NewData(data) => {
                    let Data { objects, .. } = &mut self.plans[place as usize][data as usize];
                    match objects.iter().find(|(of, _)| *of == memory) {
                        Some(&(_, object)) => object,
                        None => {
                            let object = pool.add();
                            objects.push((memory, object));
                            object
                        }
                    }
                }
                What::Scratch => {
                    let lane = lane.0 as usize;
                    if self.scratch.len() <= lane {
                        self.scratch.resize_with(lane + 1, Vec::new);
                    }
                    let object = pool.add();
                    self.scratch[lane].push((memory, object));
                    object
                }
            };
            let (missing, evicted) = pool.bring(object, bytes);
            let came = if matches!(what, What::NewData(_) | What::Scratch) { 0 } else { missing };
            match of_pools.iter_mut().find(|(of, ..)| *of == memory) {
                Some((_, all_came, all_evicted)) => {
                    (*all_came, *all_evicted) = (*all_came + came, *all_evicted + evicted)
                }
                None => of_pools.push((memory, came, evicted)),
            }
        }
        let mut until = now;
        let [moved_in, moved_out] = [Bytes(0); 2];
        let mut faults = PageFaults { step: number, wait: Duration::ZERO, moved_in, moved_out, evicted: 0 };
        for (memory, came, evicted) in of_pools {
            let pool = self.pools[memory as usize].as_mut().expect("it pages");
            let blocks = evicted.div_ceil(pool.paging.block.0);
            let time = pool.paging.time(Bytes(came), blocks);
            if time > Duration::ZERO {
                pool.busy = pool.busy.max(until) + time;
                until = pool.busy;
            }
            faults.moved_in = faults.moved_in + Bytes(came);
            faults.moved_out = faults.moved_out + Bytes(evicted);
            faults.evicted += blocks;
        }
        faults.wait = until - now;
        if faults.moved_in > Bytes(0) || faults.moved_out > Bytes(0) {
            self.faults.push(faults);
        }
        faults.wait
    }

    /// A step of the plan at `place` has ended.
    pub(super) fn end(&mut self, (pages, place): (&Pages, u32), step: StepId, lane: Option<LaneId>) {
        if let Some(lane) = lane {
            self.leave(lane);
        }
        for &data in &pages.last_uses[step.0 as usize] {
            let Data { objects, uses } = &mut self.plans[place as usize][data as usize];
            *uses -= 1;
            if *uses == 0 {
                remove(&mut self.pools, objects);
            }
        }
    }

    /// A step has left `lane`, whether it has ended or not.
    pub(super) fn leave(&mut self, lane: LaneId) {
        if let Some(scratch) = self.scratch.get_mut(lane.0 as usize) {
            remove(&mut self.pools, scratch);
        }
    }

    /// Nothing is left to run of the plan at `place`.
    pub(super) fn retire(&mut self, place: u32) {
        for mut data in self.plans.get_mut(place as usize).into_iter().flat_map(|plan| plan.drain(..)) {
            remove(&mut self.pools, &mut data.objects);
        }
    }

    /// All steps that waited or for which something was evicted, by their ids.
    pub(super) fn into_faults(mut self) -> Vec<PageFaults> {
        self.faults.sort_unstable_by_key(|faults| faults.step);
        self.faults
    }
}

fn remove(pools: &mut [Option<Pool>], objects: &mut Vec<(u32, u32)>) {
    for (memory, object) in objects.drain(..) {
        pools[memory as usize].as_mut().expect("it pages").remove(object);
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::platform::MemoryId;

    /// A memory as it is defined: parts of objects, the one first that was used longest ago.
    struct Naive {
        capacity: u64,
        paging: Paging,
        parts: Vec<(Owner, u64)>,
        busy: Time,
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Owner {
        Weights(u32),
        Data(u32, u32),
        Scratch(u32, usize),
    }

    impl Naive {
        /// What comes in and what goes out, one block after the other.
        fn bring(&mut self, part: Owner, bytes: u64) -> (u64, u64) {
            let held = |parts: &[(Owner, u64)]| parts.iter().find(|(of, _)| *of == part).map_or(0, |(_, bytes)| *bytes);
            let used = |parts: &[(Owner, u64)]| parts.iter().map(|(_, bytes)| bytes).sum::<u64>();
            let (mut missing, mut gone) = (bytes.saturating_sub(held(&self.parts)), 0);
            while self.capacity - used(&self.parts) < missing && !self.parts.is_empty() {
                let block = self.parts[0].1.min(self.paging.block.0);
                self.parts[0].1 -= block;
                gone += block;
                if self.parts[0].0 == part {
                    missing += block;
                }
                self.parts.retain(|(_, bytes)| *bytes > 0);
            }
            let missing = missing.min(self.capacity - used(&self.parts));
            let all = held(&self.parts) + missing;
            self.parts.retain(|(of, _)| *of != part);
            self.parts.push((part, all));
            (missing, gone)
        }

        fn begin(&mut self, place: u32, lane: u32, touches: &[Touch], now: Time) -> (Duration, u64, u64, u64) {
            let (mut came, mut gone) = (0, 0);
            for (index, Touch { what, bytes, .. }) in touches.iter().enumerate() {
                let (part, is_new) = match *what {
                    Touched::Weights(_, _, layer) => (Owner::Weights(layer.0), false),
                    Touched::Data(data) => (Owner::Data(place, data), false),
                    Touched::NewData(data) => (Owner::Data(place, data), true),
                    Touched::Scratch => (Owner::Scratch(lane, index), true),
                };
                let (missing, evicted) = self.bring(part, bytes.0);
                came += if is_new { 0 } else { missing };
                gone += evicted;
            }
            let blocks = gone.div_ceil(self.paging.block.0);
            let time = self.paging.time(Bytes(came), blocks);
            if time == Duration::ZERO {
                return (time, came, gone, blocks);
            }
            self.busy = self.busy.max(now) + time;
            (self.busy - now, came, gone, blocks)
        }

        fn forget(&mut self, is_gone: impl Fn(Owner) -> bool) {
            self.parts.retain(|(part, bytes)| *bytes > 0 && !is_gone(*part));
        }
    }

    const LANES: u32 = 3;

    fn touch() -> impl Strategy<Value = Touch> {
        let whats = (0..4u32, 0..4u32).prop_map(|(kind, index)| match kind {
            0 => Touched::Weights(DeviceId(0), ModelId(0), LayerId(index)),
            1 => Touched::Data(index),
            2 => Touched::NewData(index),
            _ => Touched::Scratch,
        });
        (whats, 1..120u64).prop_map(|(what, bytes)| Touch { memory: MemoryId(0), what, bytes: Bytes(bytes) })
    }

    /// Data goes with the last step that touches it, but every fourth stays.
    fn touches(of_step: Vec<Vec<Touch>>) -> Touches {
        let mut last_uses = vec![Vec::new(); of_step.len()];
        let touches_it = |step: &Vec<Touch>, data: u32| {
            step.iter().any(|touch| matches!(touch.what, Touched::Data(it) | Touched::NewData(it) if it == data))
        };
        let last = |data: u32| of_step.iter().rposition(|step| touches_it(step, data)).filter(|_| data != 3);
        for data in 0..4 {
            if let Some(step) = last(data) {
                last_uses[step].push(data);
            }
        }
        Touches { of_step, last_uses, uses: vec![1; 4] }
    }

    fn any_paging() -> impl Strategy<Value = (u64, Paging)> {
        (1..300u64, 1..50u64, 1..90u64, 0..7u64).prop_map(|(capacity, block, batch, start)| {
            let start = Duration::from_nanos(start);
            (capacity, Paging { start, batch: Bytes(batch), block: Bytes(block), ..Paging::on_demand() })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

        #[test]
        fn what_is_missing_and_what_goes_is_as_it_is_defined(
            (capacity, paging) in any_paging(),
            plans in vec(vec(vec(touch(), 0..4), 1..6), 2),
            turns in vec((0..2u32, 0..LANES, 0..2_000_000u64), 1..80),
        ) {
            let (name, users) = ("gpu".to_owned(), vec![DeviceId(0)]);
            let memory = Memory { name, capacity: Some(Bytes(capacity)), users, rule: None, paging: Some(paging.clone()) };
            let mut pager = Pager::new(&[memory]).unwrap();
            let plans: Vec<Touches> = plans.into_iter().map(touches).collect();
            let pages: Vec<Pages> = plans.iter().map(|touches| pager.add(touches.clone())).collect();
            let mut naive = Naive { capacity, paging, parts: Vec::new(), busy: Time::ZERO };
            (0..2).for_each(|place| pager.issue(&pages[place as usize], place));
            // By lane, the plan and the step that runs there; by plan, what has begun and what has ended.
            let mut lanes: Vec<Option<(u32, u32)>> = vec![None; LANES as usize];
            let mut counts = [[0u32; 2]; 2];
            let (mut now, mut number, mut expected) = (Time::ZERO, 0, Vec::new());
            let [mut came_in, mut went_out, mut made, mut freed] = [0u64; 4];
            for (place, lane, later) in turns {
                now = now + Duration::from_nanos(later);
                let held = |naive: &Naive| naive.parts.iter().map(|(_, bytes)| bytes).sum::<u64>();
                let before = held(&naive);
                if let Some((place, step)) = lanes[lane as usize].take() {
                    let own = (&pages[place as usize], place);
                    pager.end(own, StepId(step), Some(LaneId(lane)));
                    let gone = &plans[place as usize].last_uses[step as usize];
                    naive.forget(|part| match part {
                        Owner::Weights(_) => false,
                        Owner::Scratch(on, _) => on == lane,
                        Owner::Data(of, data) => of == place && gone.contains(&data),
                    });
                    counts[place as usize][1] += 1;
                    if counts[place as usize][1] as usize == plans[place as usize].of_step.len() {
                        pager.retire(place);
                        naive.forget(|part| matches!(part, Owner::Data(of, _) if of == place));
                        pager.issue(&pages[place as usize], place);
                        counts[place as usize] = [0, 0];
                    }
                    freed += before - held(&naive);
                } else if (counts[place as usize][0] as usize) < plans[place as usize].of_step.len() {
                    let step = counts[place as usize][0];
                    counts[place as usize][0] += 1;
                    lanes[lane as usize] = Some((place, step));
                    let own = (&pages[place as usize], place);
                    let wait = pager.begin(own, StepId(step), LaneId(lane), now, StepId(number));
                    let touches = &plans[place as usize].of_step[step as usize];
                    let (as_defined, came, gone, evicted) = naive.begin(place, lane, touches, now);
                    prop_assert_eq!(wait, as_defined);
                    (came_in, went_out) = (came_in + came, went_out + gone);
                    made += held(&naive) + gone - before - came;
                    if came > 0 || gone > 0 {
                        let (moved_in, moved_out) = (Bytes(came), Bytes(gone));
                        expected.push(PageFaults { step: StepId(number), wait, moved_in, moved_out, evicted });
                    }
                    number += 1;
                }
                let pool = pager.pools[0].as_ref().unwrap();
                prop_assert_eq!(capacity - pool.free, held(&naive));
                prop_assert_eq!(came_in + made, held(&naive) + went_out + freed);
            }
            prop_assert_eq!(pager.into_faults(), expected);
        }
    }
}
