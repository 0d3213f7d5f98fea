//! Workers that seek, share and hand on: each actor that is made ready is run once, and no worker
//! sleeps while one waits. One that were lost would leave all workers asleep for ever, and loom
//! says so: they go home only when all have run.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::own::{BEGIN, Own, STREAK};
use super::shared::Shared;
use super::tests::{Bell, model};

/// Actors by their number, and how often each was run.
struct Actors {
    shared: Shared<usize, Bell>,
    ran: Vec<AtomicUsize>,
    left: AtomicUsize,
}

impl Actors {
    fn new(count: usize, workers: usize) -> Arc<Self> {
        let ran = (0..count).map(|_| AtomicUsize::new(0)).collect();
        Arc::new(Self { shared: Shared::new(workers), ran, left: AtomicUsize::new(count) })
    }

    fn run(&self, one: usize) {
        assert_eq!(self.ran[one].fetch_add(1, Ordering::Relaxed), 0, "{one} was run twice");
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.close();
        }
    }

    fn next(&self, own: &mut Own<usize>) -> Option<usize> {
        own.next(&self.shared, |one| one.is_multiple_of(2))
    }

    /// A worker's whole life: what it has itself, what others give it while it is awake, and what
    /// it is woken for.
    fn work(&self, mut own: Own<usize>) {
        loop {
            let next = self.next(&mut own).or_else(|| {
                let mut looks = 0;
                self.shared.seek(|| {
                    looks += 1;
                    looks < 2
                });
                if self.shared.has_some() { self.next(&mut own) } else { None }
            });
            match next.or_else(|| self.shared.wait()) {
                Some(one) => self.run(one),
                None => return assert!(own.is_empty(), "it goes home and leaves some"),
            }
        }
    }
}

fn worker(actors: &Arc<Actors>) -> thread::JoinHandle<()> {
    let actors = actors.clone();
    thread::spawn(move || actors.work(Own::new()))
}

#[test]
fn who_seeks_has_what_is_given_or_is_woken_for_it() {
    model(|| {
        let actors = Actors::new(2, 1);
        let worker = worker(&actors);
        actors.shared.give([0]);
        actors.shared.give([1]);
        worker.join().unwrap();
    });
}

#[test]
fn what_a_worker_shares_with_one_that_seeks_or_sleeps_is_run_once() {
    model(|| {
        let actors = Actors::new(4, 2);
        let mut own = Own::new();
        own.push(0);
        own.push_beginning(1);
        own.push_next(2);
        own.push_next(3);
        let other = worker(&actors);
        actors.work(own);
        other.join().unwrap();
    });
}

#[test]
fn a_queue_that_is_handed_on_is_taken_whole() {
    model(|| {
        let actors = Actors::new(5, 1);
        let mut own = Own::new();
        own.push(0);
        own.push_beginning(1);
        own.push_next(2);
        // In the middle of a turn that is past its slice.
        let fresh = worker(&actors);
        own.leave(&actors.shared);
        assert!(own.is_empty() && own.pop().is_none());
        // The turn ends well after all: what it made ready is no longer this thread's to run.
        actors.shared.give([3]);
        actors.shared.give([4]);
        fresh.join().unwrap();
    });
}

/// All rows of so many digits below `base`.
fn rows(base: u32, digits: u32) -> impl Iterator<Item = Vec<u32>> {
    (0..base.pow(digits)).map(move |row| (0..digits).map(|at| row / base.pow(at) % base).collect())
}

#[test]
fn whatever_is_done_with_a_workers_own_queue_each_comes_out_once() {
    for row in rows(5, 8) {
        let (mut own, mut out, mut pushed) = (Own::new(), Vec::new(), 0);
        for act in row {
            match act {
                0 => own.push(pushed),
                1 => own.push_next(pushed),
                2 => own.push_beginning(pushed),
                3 => out.extend(own.pop()),
                _ => out.extend(own.give(own.len() / 2)),
            }
            pushed += u32::from(act < 3);
        }
        assert_eq!(own.len() + out.len(), pushed as usize);
        out.extend(std::iter::from_fn(|| own.pop()));
        out.sort_unstable();
        assert!(out.into_iter().eq(0..pushed));
    }
}

#[test]
fn who_waits_is_not_passed_for_ever() {
    model(|| {
        let shared = Shared::<_, Bell>::new(1);
        let mut own = Own::new();
        own.push("waits");
        own.push_beginning("begins");
        let mut turns = Vec::new();
        // A conversation that never ends.
        for _ in 0..2 * (STREAK + BEGIN) {
            own.push_next("talks");
            turns.extend(own.next(&shared, |_| false));
        }
        let first = |who| turns.iter().position(|turn| *turn == who).unwrap();
        assert!(first("waits") <= (STREAK + 1) as usize, "{turns:?}");
        assert!(first("begins") <= BEGIN as usize, "{turns:?}");
    });
}

/// Of `size` actors each has a letter that it passes to the next; they run in this order at first.
/// Gives how many letters an activation had on average until each was passed on `hops` times.
fn letters_at_once(order: impl Iterator<Item = usize>, size: usize, hops: usize) -> usize {
    let (mut own, mut waiting) = (Own::new(), vec![1; size]);
    order.for_each(|one| own.push(one));
    let (mut passed, mut activations) = (0, 0);
    while passed < size * hops {
        let one = own.pop().expect("letters are never lost");
        let (letters, next) = (std::mem::take(&mut waiting[one]), (one + 1) % size);
        if waiting[next] == 0 {
            own.push_next(next);
        }
        waiting[next] += letters;
        passed += letters;
        activations += 1;
    }
    passed / activations
}

#[test]
fn letters_that_follow_each_other_come_together_along_the_queue_and_against_it() {
    assert!(letters_at_once(0..1000, 1000, 200) > 100);
    assert!(letters_at_once((0..1000).rev(), 1000, 200) > 5);
}
