//! The way from rank 0 to the subscribers.

use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};

use super::event::Message;
use super::subscriber::Audience;
use super::{EpochEnd, TrainError};

/// Messages that rank 0 may be ahead of the subscribers.
const MESSAGES: usize = 4096;

/// Copies of the params that it may be ahead: one can be made while another is heard of.
const COPIES: usize = 2;

/// How long the thread of the subscribers rests once they have heard all there is. Rank 0 would otherwise wake it in every step, on a core that
/// another rank computes on: steps of 100 µs took a twentieth longer.
const REST: Duration = Duration::from_millis(1);

/// Where rank 0 tells what happens.
pub(super) struct Teller {
    messages: Sender<Message>,
    /// Buffers for params, if a subscriber wants those: they come back when it has heard of them.
    buffers: Option<Receiver<Vec<f32>>>,
}

/// Where it is heard.
pub(super) struct Hearer {
    messages: Receiver<Message>,
    buffers: Sender<Vec<f32>>,
}

/// Both ends of the way.
pub(super) fn teller(wants_params: bool) -> (Teller, Hearer) {
    let (sender, receiver) = bounded(MESSAGES);
    let (back, buffers) = bounded(COPIES);
    (0..COPIES).try_for_each(|_| back.send(Vec::new())).expect("there is room for all");
    let teller = Teller { messages: sender, buffers: wants_params.then_some(buffers) };
    (teller, Hearer { messages: receiver, buffers: back })
}

impl Teller {
    pub(super) fn tell(&self, message: Message) -> Result<(), TrainError> {
        self.messages.send(message).map_err(|_| TrainError::SubscribersGone)
    }

    /// Tells the params after an epoch, if they are wanted. Waits while the subscribers hear of the two epochs before, so that no more
    /// copies are made of them.
    pub(super) fn tell_params(&self, end: &EpochEnd, params: &[f32]) -> Result<(), TrainError> {
        let Some(buffers) = &self.buffers else { return Ok(()) };
        let mut copy = buffers.recv().map_err(|_| TrainError::SubscribersGone)?;
        copy.clear();
        copy.extend_from_slice(params);
        self.tell(Message::Params { epoch: end.epoch, step: end.step, params: copy })
    }
}

impl Hearer {
    /// Hands events on until rank 0 has ended.
    pub(super) fn hear(self, audience: &mut Audience<'_>, quit: &AtomicBool) {
        while let Ok(message) = self.messages.recv() {
            self.hand_on(message, audience, quit);
            self.messages.try_iter().for_each(|message| self.hand_on(message, audience, quit));
            thread::sleep(REST);
        }
    }

    fn hand_on(&self, message: Message, audience: &mut Audience<'_>, quit: &AtomicBool) {
        if let Some(buffer) = audience.tell_of(message, quit) {
            // Nobody is there to take it if rank 0 has ended.
            let _ = self.buffers.send(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use crate::data::{Dataset, Targets};
    use crate::model::{Samples, from_fn};
    use crate::train::{Event, Length, Options, Subscriber, SubscriberError, Trainer};

    /// Notes the step and the params of each epoch.
    struct Notes(Vec<(u64, Vec<f32>)>);

    impl Subscriber for Notes {
        fn hear(&mut self, event: &Event<'_>) -> Result<(), SubscriberError> {
            if let Event::Params(told) = event {
                self.0.push((told.step, told.params.to_vec()));
            }
            Ok(())
        }

        fn wants_params(&self) -> bool {
            true
        }
    }

    #[test]
    fn params_are_told_after_each_epoch_and_the_part_of_one_as_the_run_has_them_there() {
        let samples = array![[1.0], [2.0], [3.0], [6.0]];
        let data = Dataset::from_arrays(samples, Targets::None, None).unwrap();
        let model = from_fn(vec![0.0; 3], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
            grads.iter_mut().zip(params).for_each(|(grad, param)| {
                *grad = samples.inputs.iter().map(|x| param - x).sum();
            });
            0.0
        });
        let trainer = |steps, threads| {
            let length = Length::Steps(steps);
            Trainer::new(&model, &data, Options { batch_size: 2, threads, length, ..Options::default() })
        };
        for threads in 1..=3 {
            let mut notes = Notes(Vec::new());
            trainer(41, threads).subscribe(&mut notes).run().unwrap();
            let steps: Vec<u64> = notes.0.iter().map(|(step, _)| *step).collect();
            assert_eq!(steps, (2..=40).step_by(2).chain([41]).collect::<Vec<_>>());
            for (step, params) in notes.0 {
                assert_eq!(params, trainer(step, 1).run().unwrap().params, "step {step}, {threads} threads");
            }
        }
    }
}
