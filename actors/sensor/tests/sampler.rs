//! The sampler on the bench.

use guest_sdk::{Bench, Benched, Duration, Receiver, Result};
use sensor::{Answer, Message, Published, Reading, Sampler, Settings};

fn sample(bench: &mut Bench, sampler: &mut Benched<Sampler>, value: f64) -> Vec<Reading> {
    bench.pass(Duration::from_secs(1));
    bench.sensor("source", value);
    tick(bench, sampler)
}

fn tick(bench: &mut Bench, sampler: &mut Benched<Sampler>) -> Vec<Reading> {
    bench.handle(sampler, Message::Tick).unwrap();
    let published = bench.published::<Published>("out").unwrap();
    published.into_iter().map(|Published::Reading(reading)| reading).collect()
}

fn ask(bench: &mut Bench, sampler: &mut Benched<Sampler>, message: Message) -> Answer {
    let asked = bench.ask(sampler, message).unwrap();
    let sent = bench.sent();
    let answer = sent.iter().find(|sent| sent.to == Receiver::Asker(asked));
    answer.expect("an answer").decode().unwrap()
}

#[test]
fn a_reading_that_is_not_there_yet_is_a_value() -> Result {
    let mut bench = Bench::new();
    let mut sampler = bench.start::<Sampler>()?;
    assert_eq!(tick(&mut bench, &mut sampler), []);
    assert_eq!(ask(&mut bench, &mut sampler, Message::Last), Answer::Last(None));
    Ok(())
}

#[test]
fn only_what_says_something_new_is_published() -> Result {
    let mut bench = Bench::new();
    bench.wall(Duration::from_secs(1_800_000_000));
    let mut sampler = bench.start::<Sampler>()?;
    let first = sample(&mut bench, &mut sampler, 20.0);
    let at = Some(1_800_000_001_000);
    assert_eq!(first, [Reading { value: 20.0, raw: 20.0, at, name: String::new() }]);
    assert_eq!(sample(&mut bench, &mut sampler, 20.05), []);
    assert_eq!(sample(&mut bench, &mut sampler, 85.0), [], "an outlier");
    sample(&mut bench, &mut sampler, 21.0);
    assert_eq!(sample(&mut bench, &mut sampler, 21.0).len(), 1);
    let Answer::Last(Some(last)) = ask(&mut bench, &mut sampler, Message::Last) else { panic!() };
    assert!(last.value > 20.1 && last.raw == 21.0);
    Ok(())
}

#[test]
fn a_steady_sensor_gives_signs_of_life_and_a_dead_one_is_silent() -> Result {
    let mut bench = Bench::new();
    let mut sampler = bench.start::<Sampler>()?;
    let published: usize = (0..61).map(|_| sample(&mut bench, &mut sampler, 20.0).len()).sum();
    assert_eq!(published, 3);
    for _ in 0..100 {
        bench.pass(Duration::from_secs(1));
        assert_eq!(tick(&mut bench, &mut sampler), []);
    }
    assert_eq!(sample(&mut bench, &mut sampler, 5.0)[0].value, 5.0, "the average begins anew");
    Ok(())
}

#[test]
fn settings_are_checked_and_outlive_a_restart() -> Result {
    let mut bench = Bench::new();
    let mut sampler = bench.start::<Sampler>()?;
    for wrong in [
        Settings { period: 0, ..Settings::default() },
        Settings { keep_alive: u64::MAX, ..Settings::default() },
        Settings { weight: 0.0, ..Settings::default() },
        Settings { step: -1.0, ..Settings::default() },
        Settings { name: "n".repeat(65), ..Settings::default() },
    ] {
        let answer = ask(&mut bench, &mut sampler, Message::Tune(wrong));
        assert!(matches!(answer, Answer::Refused(_)), "{answer:?}");
    }
    let settings = Settings { period: 500, name: "attic".into(), ..Settings::default() };
    assert_eq!(ask(&mut bench, &mut sampler, Message::Tune(settings)), Answer::Tuned);
    let mut sampler = bench.start::<Sampler>()?;
    let half = Duration::from_millis(500);
    assert_eq!(bench.timers::<Message>()?, [(Message::Tick, half, half)]);
    assert_eq!(sample(&mut bench, &mut sampler, 20.0)[0].name, "attic");
    Ok(())
}

#[test]
fn a_sampler_that_is_saved_goes_on() -> Result {
    let mut bench = Bench::new();
    let mut sampler = bench.start::<Sampler>()?;
    sample(&mut bench, &mut sampler, 20.0);
    let mut sampler = bench.reload(sampler)?;
    assert_eq!(sample(&mut bench, &mut sampler, 20.0), [], "it knows what it has published");
    Ok(())
}
