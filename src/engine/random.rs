//! Random numbers that are looked up rather than used up: each draw has a place of its own.
//!
//! A draw is keyed by (seed, replication, purpose, entity, lane, index). Whatever else a strategy draws, and in which order,
//! the seventh step of a device meets the same chance: strategies are compared on common random numbers.

use std::convert::Infallible;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng, TryRng};
use rand_distr::Distribution;

/// What is drawn. Each purpose has streams of its own, so that one more draw here changes nothing there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// Gaps between queries, by source of queries.
    Arrivals = 1,
    /// Factors of steps that compute, by device.
    Compute = 2,
    /// Factors of transfers, by link.
    Transfer = 3,
    /// Spikes of steps that compute, by device.
    ComputeSpikes = 4,
    /// Spikes of transfers, by link.
    TransferSpikes = 5,
    /// When faults come and go, by fault.
    Faults = 6,
    /// Sizes of queries, by source of queries.
    Sizes = 7,
}

/// All random numbers of one replication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    key: [u8; 32],
}

impl Streams {
    /// Those of a replication under a seed. Different ones are independent.
    pub fn new(seed: u64, replication: u32) -> Streams {
        let mut key = *b"________________coinfer random 1";
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&u64::from(replication).to_le_bytes());
        Streams { key }
    }

    /// The draws for a purpose and one of the things that it is about, from the first on.
    pub fn stream(&self, purpose: Purpose, entity: u32) -> Stream {
        self.stream_of_lane(purpose, entity, 0)
    }

    /// As [`Streams::stream`], of one of the lanes of a device or link: two that work at once meet chances of their own.
    pub fn stream_of_lane(&self, purpose: Purpose, entity: u32, lane: u32) -> Stream {
        let id = u64::from(lane & LANES) << 40 | u64::from(purpose as u8) << 32 | u64::from(entity);
        Stream { words: generator(self.key, id), key: self.key, id, index: 0, width: 2, spare: None }
    }
}

/// Lanes are numbered in the bits between those of purposes and [`SPARE`]; the 8388608th meets the chances of the first.
const LANES: u32 = (1 << 23) - 1;

fn generator(key: [u8; 32], id: u64) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(id);
    generator
}

/// Draws for one purpose and entity, one after the other or by their index.
///
/// Every draw has 128 random bits of its own, which nearly all samples do with. One that needs more, since its method
/// rejects, takes them from a place that belongs to it as well. So no draw depends on how many bits earlier ones took.
/// A draw in order takes a quarter of a block of ChaCha8; one after [`Stream::seek`], or one that needs more bits, makes
/// four blocks. `cargo bench --bench random` shows what that is.
#[derive(Debug)]
pub struct Stream {
    words: ChaCha8Rng,
    key: [u8; 32],
    id: u64,
    /// Of the next draw.
    index: u64,
    /// Numbers of 64 bits that each draw has in the stream itself: 2 or 4.
    width: u8,
    /// Generates what samples need beyond their 128 bits; made when first needed.
    spare: Option<Box<ChaCha8Rng>>,
}

/// 32-bit words of each draw in the spare stream. More are not needed in the life of the universe.
const SPARE_WORDS: u128 = 256;
/// Set in the id of spare streams.
const SPARE: u64 = 1 << 63;

impl Stream {
    /// With twice as many bits for each draw, for samples that need more than 128 nearly always.
    pub(super) fn widened(mut self) -> Stream {
        self.width = 4;
        self
    }

    /// The next draw, as a source of random bits for one sample.
    #[inline]
    pub fn draw(&mut self) -> Draw<'_> {
        let mut own = [self.words.next_u64(), self.words.next_u64(), 0, 0];
        if self.width == 4 {
            own[2..].fill_with(|| self.words.next_u64());
        }
        self.index += 1;
        Draw { stream: self, own, taken: 0 }
    }

    /// A sample by the next draw.
    #[inline]
    pub fn sample<T>(&mut self, distribution: &impl Distribution<T>) -> T {
        distribution.sample(&mut self.draw())
    }

    /// Makes the draw with this index the next; the first is 0.
    pub fn seek(&mut self, index: u64) {
        if index != self.index {
            self.index = index;
            self.words.set_word_pos(u128::from(index) * u128::from(2 * self.width));
        }
    }

    #[cold]
    fn spare(&mut self, is_first: bool) -> u64 {
        let Stream { key, id, index, .. } = *self;
        let spare = self.spare.get_or_insert_with(|| Box::new(generator(key, id | SPARE)));
        if is_first {
            spare.set_word_pos(u128::from(index - 1) * SPARE_WORDS);
        }
        spare.next_u64()
    }
}

/// The random bits of one draw.
#[derive(Debug)]
pub struct Draw<'a> {
    stream: &'a mut Stream,
    own: [u64; 4],
    taken: u8,
}

impl TryRng for Draw<'_> {
    type Error = Infallible;

    #[inline]
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|bits| (bits >> 32) as u32)
    }

    #[inline]
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let (taken, width) = (self.taken, self.stream.width);
        self.taken = (taken + 1).min(width + 1);
        Ok(match self.own[..usize::from(width)].get(usize::from(taken)) {
            Some(&bits) => bits,
            None => self.stream.spare(taken == width),
        })
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rand::distr::StandardUniform;
    use rand_distr::{Exp1, Gamma};

    use super::*;

    fn draws(stream: &mut Stream, count: usize) -> Vec<u64> {
        (0..count).map(|_| stream.sample(&StandardUniform)).collect()
    }

    #[test]
    fn draws_are_blocks_of_chacha8_on_every_machine() {
        // Computed by another implementation of ChaCha8 (Bernstein, 2008).
        let expected: [u64; 3] = [9059526643169405590, 16705254810779292213, 10037912687637353914];
        let mut stream = Streams::new(42, 3).stream(Purpose::Compute, 1);
        assert_eq!(draws(&mut stream, 3), expected);
        stream.seek(2);
        let mut draw = stream.draw();
        let bits: [u64; 3] = std::array::from_fn(|_| draw.next_u64());
        assert_eq!((bits[0], bits[2]), (expected[2], 5715417445179010172));
    }

    #[test]
    fn equal_keys_draw_equally_and_others_differently() {
        let key = |seed, replication, purpose, entity| {
            draws(&mut Streams::new(seed, replication).stream(purpose, entity), 1)[0]
        };
        let all = [
            key(1, 0, Purpose::Compute, 0),
            key(2, 0, Purpose::Compute, 0),
            key(1, 1, Purpose::Compute, 0),
            key(1, 0, Purpose::Transfer, 0),
            key(1, 0, Purpose::Compute, 1),
            key(0, 1, Purpose::Compute, 0),
            draws(&mut Streams::new(1, 0).stream_of_lane(Purpose::Compute, 0, 1), 1)[0],
            draws(&mut Streams::new(1, 0).stream_of_lane(Purpose::Compute, 0, LANES), 1)[0],
        ];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
        assert_eq!(all[0], key(1, 0, Purpose::Compute, 0));
    }

    #[test]
    fn draws_do_not_depend_on_the_order_of_entities() {
        let streams = Streams::new(7, 0);
        let mut devices = [0, 1].map(|device| streams.stream(Purpose::Compute, device));
        let in_turn: Vec<_> = (0..6).map(|index| draws(&mut devices[index % 2], 1)[0]).collect();
        let [first, second] = [0, 1].map(|device| draws(&mut streams.stream(Purpose::Compute, device), 3));
        assert_eq!(in_turn, [first[0], second[0], first[1], second[1], first[2], second[2]]);
    }

    #[test]
    fn a_draw_does_not_depend_on_what_earlier_draws_took() {
        // This shape rejects often and needs three numbers at least.
        let greedy = Gamma::new(0.3, 1.0).unwrap();
        let narrow = || Streams::new(9, 0).stream(Purpose::Transfer, 4);
        let widened = || narrow().widened();
        for stream in [&narrow as &dyn Fn() -> Stream, &widened] {
            let (mut plain, mut mixed) = (stream(), stream());
            for index in 0..2000 {
                let expected: f64 = plain.sample(&Exp1);
                if index % 3 == 0 {
                    mixed.sample(&greedy);
                } else {
                    assert_eq!(mixed.sample::<f64>(&Exp1), expected, "draw {index}");
                }
            }
        }
    }

    #[test]
    fn a_draw_is_found_again_by_its_index() {
        let greedy = Gamma::new(0.3, 1.0).unwrap();
        let mut stream = Streams::new(5, 5).stream(Purpose::Arrivals, 0);
        let inline: Vec<f64> = (0..100).map(|_| stream.sample(&greedy)).collect();
        for index in [99, 3, 3, 50, 0] {
            stream.seek(index);
            assert_eq!(stream.sample::<f64>(&greedy), inline[index as usize]);
        }
    }

    #[test]
    fn bytes_are_the_same_bits() {
        let stream = || Streams::new(5, 5).stream(Purpose::Arrivals, 0);
        let mut bytes = [0; 19];
        stream().draw().fill_bytes(&mut bytes);
        assert_eq!(bytes[..8], stream().draw().next_u64().to_le_bytes());
        assert_ne!(bytes[16..], [0; 3]);
    }
}
