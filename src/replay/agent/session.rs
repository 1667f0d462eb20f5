//! What one client has on an agent: tensors, segments and a thread, all of which end with it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Mutex as Turn;

use super::budget::{Budget, Reservation};
use super::device::{Device, Shared, Worker};
use crate::model::{LayerId, ModelId, Region, Shape};
use crate::replay::clock::sleep;
use crate::replay::cpu::{Gathered, Port, Store};
use crate::replay::wire::messages::RunReply;
use crate::replay::wire::{Declared, Refusal, Sent, count};
use crate::units::Duration;

/// What a segment needs beside its model.
const SEGMENT_BYTES: u64 = 64 * 1024;
/// What it needs for each input and output, with a name and a shape.
const PORT_BYTES: u64 = 2048;
/// What a region needs beside its numbers.
const REGION_BYTES: u64 = 512;
/// What a runtime makes of a model: the model, and its weights in another order.
const MODEL_FACTOR: u64 = 2;
const FLOAT_BYTES: u64 = size_of::<f32>() as u64;

/// What one client has.
pub(super) struct Session {
    device: Arc<Device>,
    budget: Arc<Budget>,
    store: Arc<Store>,
    state: Mutex<State>,
    worker: Worker,
    /// Of the step that runs.
    turn: Turn<()>,
}

#[derive(Default)]
struct State {
    shapes: BTreeMap<(ModelId, LayerId), Shape>,
    /// Regions that have a place in the store.
    held: BTreeMap<(ModelId, LayerId, [u32; 4]), Held>,
    segments: BTreeMap<u32, Segment>,
}

/// Of the session's memory, and of all.
type Held = [Reservation; 2];

enum Segment {
    /// Its model is to come; the reservations stand for it.
    Expected(Declared, Reservation, Reservation),
    /// Its model is being loaded.
    Loading,
    Ready {
        shared: Arc<Shared>,
        model: ModelId,
        _held: Reservation,
    },
}

impl Session {
    pub(super) fn start(device: Arc<Device>, memory: u64) -> Result<Session, Refusal> {
        let worker = Worker::start(&device.threads.cores)?;
        let (store, state, turn) = (Arc::default(), Mutex::default(), Turn::default());
        Ok(Session { device, budget: Budget::new(memory), store, state, worker, turn })
    }

    /// Declares a segment. Whether the agent has its model, so that it is ready.
    pub(super) fn open(&self, segment: u32, declared: Declared) -> Result<bool, Refusal> {
        let ports = (declared.reads.len() + declared.writes.len()) as u64;
        let bytes = declared.bytes.saturating_mul(MODEL_FACTOR).saturating_add(SEGMENT_BYTES + ports * PORT_BYTES);
        let here = self.reserve_here(bytes)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.segments.contains_key(&segment) {
            return Err(Refusal::Malformed(format!("segment {segment} is declared already")));
        }
        let mut shapes = BTreeMap::new();
        for (_, port) in declared.reads.iter().chain(&declared.writes) {
            state.check_shape(declared.model, port)?;
            if *shapes.entry((declared.model, port.layer)).or_insert(port.shape) != port.shape {
                return Err(Refusal::Malformed(format!("layer {} has two shapes", port.layer.0)));
            }
        }
        state.shapes.extend(shapes);
        let found = self.device.find(&declared);
        let is_known = found.is_some();
        let opened = match found {
            Some(shared) => Segment::Ready { shared, model: declared.model, _held: here },
            None => Segment::Expected(declared, here, self.reserve_of_all(bytes)?),
        };
        state.segments.insert(segment, opened);
        Ok(is_known)
    }

    /// Begins to take the model of `segment`; nobody else may bring it from then on.
    pub(super) fn begin(&self, segment: u32) -> Result<Arriving<'_>, Refusal> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let absent = || Refusal::Absent(format!("there is no segment {segment}"));
        let found = state.segments.get_mut(&segment).ok_or_else(absent)?;
        match std::mem::replace(found, Segment::Loading) {
            Segment::Expected(declared, here, of_all) => {
                let size = usize::try_from(declared.bytes).unwrap_or(usize::MAX);
                let expected = Some((declared, here, of_all));
                drop(state);
                let mut arriving = Arriving { session: self, segment, expected, bytes: Vec::new() };
                let refusal = |_| Refusal::TooMuch(format!("there is no memory for a model of {size} bytes"));
                arriving.bytes.try_reserve_exact(size).map_err(refusal)?;
                Ok(arriving)
            }
            other => {
                *found = other;
                Err(Refusal::Malformed(format!("segment {segment} has its model")))
            }
        }
    }

    /// Runs `segment` over `samples`, when the steps before it have ended.
    pub(super) async fn run(&self, segment: u32, samples: Range<u32>) -> Result<RunReply, Refusal> {
        let (shared, model) = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            match state.segments.get(&segment) {
                Some(Segment::Ready { shared, model, .. }) => (shared.clone(), *model),
                Some(_) => return Err(Refusal::Malformed(format!("segment {segment} has no model yet"))),
                None => return Err(Refusal::Absent(format!("there is no segment {segment}"))),
            }
        };
        for port in &shared.loaded.writes {
            self.hold(model, port, &samples)?;
        }
        let read = shared.loaded.reads.iter().map(|port| count(port, &samples));
        let read = read.fold(0u64, u64::saturating_add).saturating_mul(FLOAT_BYTES);
        let transient = self.reserve_here(read)?;
        let (device, store) = (self.device.clone(), self.store.clone());
        let run = move || {
            let computed = shared.loaded.run(&store, model, &samples, &device.threads);
            drop(transient);
            computed.map_err(Refusal::Failed)
        };
        let _turn = self.turn.lock().await;
        let (clock, slowed) = (self.device.clock, self.device.slowed);
        let start = clock.now();
        let computed = self.worker.ask(run).await?;
        let busy = Duration::from_nanos_f64(computed.as_nanos_f64() * slowed);
        if slowed > 1.0 {
            // Not on the cores that compute, which other slowed devices may have by then.
            let left = busy.saturating_sub(clock.now() - start);
            let waited = tokio::task::spawn_blocking(move || sleep(left)).await;
            waited.map_err(|_| Refusal::Failed("the agent ends".into()))?;
        }
        let [start, end] = [start, clock.now()].map(|time| time.since_start().as_nanos());
        Ok(RunReply { start, end, busy: busy.as_nanos() })
    }

    /// Makes room for a region that is to come, and for its numbers on their way, which the reservation stands for.
    pub(super) fn expect(&self, sent: &Sent) -> Result<Reservation, Refusal> {
        self.hold(sent.model, &sent.port, &sent.samples)?;
        self.reserve_here(sent.count().saturating_mul(FLOAT_BYTES))
    }

    /// Puts the numbers of a region that room was made for.
    pub(super) fn put(&self, sent: &Sent, numbers: Arc<Vec<f32>>) {
        self.store.put(&sent.tensor(), numbers);
    }

    /// A region that it holds.
    pub(super) fn get(&self, sent: &Sent) -> Result<(Gathered, Reservation), Refusal> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).check_shape(sent.model, &sent.port)?;
        let region = sent.region();
        let reservation = self.reserve_here(sent.count().saturating_mul(FLOAT_BYTES))?;
        let gathered = self.store.gather(sent.model, sent.port.layer, &region, sent.port.shape);
        let absent = || Refusal::Absent(format!("{region} of layer {} is not there", sent.port.layer.0));
        Ok((gathered.ok_or_else(absent)?, reservation))
    }

    fn hold(&self, model: ModelId, port: &Port, samples: &Range<u32>) -> Result<(), Refusal> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.check_shape(model, port)?;
        let Region { samples, rows } = port.region(samples);
        let key = (model, port.layer, [samples.start, samples.end, rows.start, rows.end]);
        if let Entry::Vacant(place) = state.held.entry(key) {
            let bytes = count(port, &samples).saturating_mul(FLOAT_BYTES).saturating_add(REGION_BYTES);
            place.insert([self.reserve_here(bytes)?, self.reserve_of_all(bytes)?]);
            state.shapes.insert((model, port.layer), port.shape);
        }
        Ok(())
    }

    fn reserve_here(&self, bytes: u64) -> Result<Reservation, Refusal> {
        let limit = self.budget.limit();
        let refusal = || Refusal::TooMuch(format!("{bytes} bytes more are over the {limit} that a session may hold"));
        self.budget.reserve(bytes).ok_or_else(refusal)
    }

    fn reserve_of_all(&self, bytes: u64) -> Result<Reservation, Refusal> {
        let limit = self.device.budget.limit();
        let refusal =
            || Refusal::TooMuch(format!("{bytes} bytes more are over the {limit} that all sessions may hold"));
        self.device.budget.reserve(bytes).ok_or_else(refusal)
    }
}

/// A model on its way. If it is dropped before it is loaded, its segment is as if it was not declared.
pub(super) struct Arriving<'a> {
    session: &'a Session,
    segment: u32,
    expected: Option<(Declared, Reservation, Reservation)>,
    bytes: Vec<u8>,
}

impl Arriving<'_> {
    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let declared = self.expected.as_ref().map_or(0, |(declared, ..)| declared.bytes);
        if (self.bytes.len() as u64).saturating_add(bytes.len() as u64) > declared {
            return Err(Refusal::Malformed(format!("the model has more than the {declared} bytes that were declared")));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Loads the model.
    pub(super) async fn load(mut self) -> Result<(), Refusal> {
        let bytes = std::mem::take(&mut self.bytes);
        let Some((declared, here, of_all)) = self.expected.take() else { return Ok(()) };
        let (device, model) = (self.session.device.clone(), declared.model);
        let loaded = self.session.worker.ask(move || device.load(&declared, bytes, of_all)).await;
        let ready = Segment::Ready { shared: loaded?, model, _held: here };
        let mut state = self.session.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.segments.insert(self.segment, ready);
        Ok(())
    }
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        let mut state = self.session.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(state.segments.get(&self.segment), Some(Segment::Loading)) {
            state.segments.remove(&self.segment);
        }
    }
}

impl State {
    /// Checks that a tensor has the shape that it had before, if it was there before.
    fn check_shape(&self, model: ModelId, port: &Port) -> Result<(), Refusal> {
        match self.shapes.get(&(model, port.layer)) {
            Some(known) if *known != port.shape => {
                Err(Refusal::Malformed(format!("layer {} of model {} had another shape before", port.layer.0, model.0)))
            }
            _ => Ok(()),
        }
    }
}
