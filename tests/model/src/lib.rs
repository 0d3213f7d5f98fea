//! The one word of a mailbox, and the run queue: what its workers share, and what each has of its
//! own, under loom: the same source as the runtime's, with loom's atomics and locks.

#[cfg(test)]
mod sync {
    pub use std::sync::PoisonError;

    pub use loom::hint::spin_loop;
    pub use loom::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
    pub use loom::sync::{Condvar, Mutex, MutexGuard};
}

#[cfg(test)]
#[path = "../../../runtime/src/actor/run_queue/own.rs"]
mod own;
#[cfg(test)]
#[allow(dead_code, reason = "the runtime uses the rest")]
#[path = "../../../runtime/src/actor/run_queue/shared.rs"]
mod shared;

#[cfg(test)]
#[allow(dead_code, reason = "the runtime uses the rest")]
#[path = "../../../runtime/src/mailbox/word.rs"]
mod word;

#[cfg(test)]
mod queue;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::thread;

    use super::shared::{Shared, Wake};
    use super::sync::{Condvar, Mutex};
    use super::word::Word;

    /// Every interleaving with at most so many switches of a thread that could have gone on: most
    /// faults show with two (Musuvathi and Qadeer, "Iterative context bounding", PLDI 2007), and
    /// without a bound the search takes hours.
    const SWITCHES: usize = 3;

    pub fn model(scenario: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(SWITCHES);
        builder.check(scenario);
    }

    /// An owner that counts how often it was put into a run queue, and how many run it.
    struct Owner {
        word: Word<u32>,
        queued: AtomicUsize,
        running: AtomicUsize,
        /// Taken from the word, and not handled yet.
        inbox: Mutex<Vec<u32>>,
    }

    /// Nothing to be handled: the owner is to be looked at.
    const NUDGE: u32 = 0;

    impl Owner {
        /// Takes what came; gives what is to be handled, which only one may look at.
        fn fill(&self, look: impl FnOnce(&mut Vec<u32>)) {
            assert_eq!(self.running.fetch_add(1, Ordering::AcqRel), 0, "run twice at once");
            let mut inbox = self.inbox.lock().unwrap();
            inbox.extend(self.word.take().filter(|item| *item != NUDGE));
            look(&mut inbox);
            self.running.fetch_sub(1, Ordering::AcqRel);
        }

        fn queue(&self) {
            assert_eq!(self.queued.fetch_add(1, Ordering::AcqRel), 0, "queued twice at once");
        }
    }

    fn at_rest() -> Arc<Owner> {
        let (queued, running) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let owner = Owner { word: Word::scheduled(), queued, running, inbox: Mutex::new(vec![]) };
        assert!(owner.word.rest());
        Arc::new(owner)
    }

    fn push(owner: &Owner, item: u32) {
        if owner.word.push(item).unwrap() {
            owner.queue();
        }
    }

    /// Runs the owner if it is queued, until it rests.
    fn run(owner: &Owner, taken: &mut Vec<u32>) {
        if owner.queued.load(Ordering::Acquire) == 0 {
            return;
        }
        loop {
            owner.fill(|inbox| taken.append(inbox));
            // Before it rests: from then on anybody may queue it again.
            owner.queued.fetch_sub(1, Ordering::AcqRel);
            if owner.word.rest() {
                return;
            }
            owner.queue();
        }
    }

    /// Looks at an owner at rest as the parker does, and has it run if something came meanwhile.
    fn claim(owner: &Owner) {
        if !owner.word.push(NUDGE).unwrap() {
            return;
        }
        let mut idle = false;
        owner.fill(|inbox| idle = inbox.is_empty());
        if !idle || !owner.word.rest() {
            owner.queue();
        }
    }

    #[test]
    fn nothing_pushed_is_lost_and_each_pushers_order_is_kept() {
        model(|| {
            let owner = at_rest();
            let pushers: Vec<_> = [10, 20]
                .into_iter()
                .map(|first| {
                    let owner = owner.clone();
                    thread::spawn(move || {
                        push(&owner, first);
                        push(&owner, first + 1);
                    })
                })
                .collect();
            let mut taken = Vec::new();
            run(&owner, &mut taken);
            for pusher in pushers {
                pusher.join().unwrap();
            }
            // What came while the owner was at rest left it queued: no wake-up is lost.
            run(&owner, &mut taken);
            assert_eq!(taken.len(), 4, "{taken:?}");
            let of = |first| taken.iter().copied().filter(move |item| item / 10 == first);
            assert!(of(1).eq([10, 11]) && of(2).eq([20, 21]), "{taken:?}");
            assert_eq!(owner.queued.load(Ordering::Acquire), 0);
        });
    }

    #[test]
    fn who_claims_an_owner_at_rest_has_it_alone_and_nothing_that_comes_is_lost() {
        model(|| {
            let owner = at_rest();
            let parker = {
                let owner = owner.clone();
                thread::spawn(move || claim(&owner))
            };
            let pusher = {
                let owner = owner.clone();
                thread::spawn(move || push(&owner, 1))
            };
            let mut taken = Vec::new();
            run(&owner, &mut taken);
            push(&owner, 2);
            parker.join().unwrap();
            pusher.join().unwrap();
            run(&owner, &mut taken);
            taken.sort_unstable();
            assert_eq!(taken, [1, 2]);
            assert_eq!(owner.queued.load(Ordering::Acquire), 0);
        });
    }

    #[test]
    fn what_comes_while_the_mailbox_closes_is_taken_or_given_back() {
        model(|| {
            let owner = at_rest();
            let pusher = {
                let owner = owner.clone();
                thread::spawn(move || owner.word.push(1).is_ok())
            };
            let taken = owner.word.close().count();
            let pushed = pusher.join().unwrap();
            assert_eq!(taken, usize::from(pushed), "an item is in one place");
            assert!(owner.word.push(2).is_err());
        });
    }

    /// What a worker waits on while it runs the network.
    #[derive(Clone)]
    pub struct Bell(Arc<(Mutex<bool>, Condvar)>);

    impl Bell {
        fn silent() -> Self {
            Self(Arc::new((Mutex::new(false), Condvar::new())))
        }

        fn wait(&self) {
            let mut rung = self.0.0.lock().unwrap();
            while !*rung {
                rung = self.0.1.wait(rung).unwrap();
            }
            *rung = false;
        }
    }

    impl Wake for Bell {
        fn wake(&self) {
            *self.0.0.lock().unwrap() = true;
            self.0.1.notify_one();
        }
    }

    /// Works until the queue is closed, and sleeps while there is nothing.
    fn work(shared: &Shared<u32, Bell>) -> usize {
        let (mut own, mut done) = (VecDeque::new(), 0);
        while let Some(_one) = shared.wait() {
            done += 1;
            shared.take(|one| own.push_front(one));
            done += own.drain(..).count();
        }
        done
    }

    /// Waits elsewhere until it is wanted.
    fn stay_away(shared: &Shared<u32, Bell>) {
        let bell = Bell::silent();
        while !shared.goes_away(|| bell.clone()) {
            bell.wait();
        }
        shared.is_back();
    }

    /// Two are given to two workers that each take one: neither may oversleep.
    fn no_worker_oversleeps(give: impl Fn(&Shared<u32, Bell>) + Send + Sync + 'static) {
        model(move || {
            let shared = Arc::new(Shared::<u32, Bell>::new(2));
            let done = Arc::new(AtomicUsize::new(0));
            let workers: Vec<_> = (0..2)
                .map(|_| {
                    let (shared, done) = (shared.clone(), done.clone());
                    // A worker that overslept would hold the model up for ever: loom says so.
                    thread::spawn(move || {
                        if shared.wait().is_some() {
                            done.fetch_add(1, Ordering::AcqRel);
                        }
                    })
                })
                .collect();
            give(&shared);
            for worker in workers {
                worker.join().unwrap();
            }
            assert_eq!(done.load(Ordering::Acquire), 2);
        });
    }

    #[test]
    fn no_worker_sleeps_while_something_waits() {
        no_worker_oversleeps(|shared| {
            shared.give([1]);
            shared.give([2]);
        });
        no_worker_oversleeps(|shared| shared.give([1, 2]));
    }

    #[test]
    fn closing_sends_home_who_sleeps_and_who_is_away() {
        model(|| {
            let shared = Arc::new(Shared::<u32, Bell>::new(2));
            let asleep = {
                let shared = shared.clone();
                thread::spawn(move || work(&shared))
            };
            let away = {
                let shared = shared.clone();
                thread::spawn(move || {
                    stay_away(&shared);
                    work(&shared)
                })
            };
            shared.give([1]);
            shared.close();
            let done = asleep.join().unwrap() + away.join().unwrap();
            let mut left = VecDeque::new();
            shared.take(|one| left.push_front(one));
            assert_eq!(done + left.len(), 1, "it is done, or still there");
        });
    }

    #[test]
    fn who_is_away_is_woken_for_what_comes() {
        model(|| {
            let shared = Arc::new(Shared::<u32, Bell>::new(1));
            let worker = {
                let shared = shared.clone();
                thread::spawn(move || {
                    stay_away(&shared);
                    shared.wait()
                })
            };
            shared.give([7]);
            assert_eq!(worker.join().unwrap(), Some(7));
        });
    }
}
