//! Turns on the bench.

use super::*;

#[test]
fn a_write_is_stamped_after_all_that_was_read() -> Result {
    let mut bench = Bench::new();
    let mut puppet = bench.start::<Puppet>()?;
    bench.wall(Duration::from_nanos(500));
    bench.handle(&mut puppet, Do::Stamp)?;
    bench.handle(&mut puppet, Do::See(Stamp::new(1_000, 3)))?;
    bench.handle(&mut puppet, Do::Stamp)?;
    let mut puppet = bench.reload(puppet)?;
    bench.handle(&mut puppet, Do::Stamp)?;
    let times: Vec<_> = puppet.stamps.iter().map(|stamp| stamp.time()).collect();
    assert_eq!(times, [500, 1_001, 1_002]);
    Ok(())
}

#[test]
fn an_address_dies_with_the_turn_unless_it_is_kept() -> Result {
    let mut bench = Bench::new();
    let mut puppet = bench.start::<Puppet>()?;
    let friend = bench.address("friend");
    bench.handle(&mut puppet, Do::Keep(friend))?;
    let kept = puppet.kept.ok_or(Error::new("not kept"))?;
    assert_ne!(kept, friend, "a letter brings its own handle");
    bench.handle(&mut puppet, Do::Introduce { to: kept, whom: friend })?;
    let sent = bench.sent();
    assert_eq!(sent[0].to, Receiver::Actor("friend".into()));
    assert!(matches!(sent[0].decode::<Do>()?, Do::Keep(_)));
    Ok(())
}

#[test]
fn an_independent_decoder_reads_saved_state() -> Result {
    #[derive(Deserialize)]
    struct Saved {
        v: u8,
        actor: Puppet,
    }
    let mut desk = sim::Desk::default();
    let now = sim::Now { monotonic: 1, wall: Some(2), seed: 3 };
    let mut puppet = crate::turn::Instance::<Puppet>::start(&mut desk, now.into())?;
    puppet.actor.heard.push("this".into());
    puppet.actor.stamps.push(Stamp::new(1_000, 3));
    let Saved { v, actor } = serde_cbor::from_slice(&puppet.save()?).unwrap();
    assert_eq!((v, actor), (0, puppet.actor));
    Ok(())
}

#[test]
fn a_question_is_answered_once() -> Result {
    let mut bench = Bench::new();
    let mut puppet = bench.start::<Puppet>()?;
    let number = bench.ask(&mut puppet, Do::Reply(0.5))?;
    bench.handle(&mut puppet, Do::Reply(0.5))?;
    let sent = bench.sent();
    assert_eq!(sent.len(), 1, "a letter without a question was answered");
    assert_eq!(sent[0].to, Receiver::Asker(number));
    assert_eq!(sent[0].decode::<f32>()?, 0.5);
    Ok(())
}

#[test]
fn a_failed_turn_leaves_nothing() -> Result {
    let mut bench = Bench::new();
    let mut puppet = bench.start::<Puppet>()?;
    assert!(bench.handle(&mut puppet, Do::PutAndFail("key".into())).is_err());
    assert_eq!(bench.stored::<u32>("key")?, None);
    bench.handle(&mut puppet, Do::Put("key".into(), 7))?;
    assert_eq!(bench.stored("key")?, Some(7u32));
    Ok(())
}

#[test]
fn a_timer_is_named_by_its_message() -> Result {
    let mut bench = Bench::new();
    let mut puppet = bench.start::<Puppet>()?;
    bench.handle(&mut puppet, Do::Every(5))?;
    bench.handle(&mut puppet, Do::Every(10))?;
    let ten = Duration::from_secs(10);
    assert_eq!(bench.timers()?, [(Do::Nothing, ten, ten)]);
    bench.handle(&mut puppet, Do::Cancel)?;
    assert!(bench.timers::<Do>()?.is_empty());
    Ok(())
}

#[test]
fn a_name_that_was_not_granted_says_what_to_write() -> Result {
    let mut bench = Bench::new();
    let mut puppet = bench.start::<Puppet>()?;
    bench.strict();
    let error = bench.handle(&mut puppet, Do::Drive("heater".into())).unwrap_err().to_string();
    assert!(error.contains("heater = { pin ="), "{error}");
    let error = bench.handle(&mut puppet, Do::Publish("news".into())).unwrap_err().to_string();
    assert!(error.contains(r#"news = "topic:news""#), "{error}");
    Ok(())
}

#[test]
fn a_letter_that_is_no_message_is_logged_and_does_no_harm() -> Result {
    let mut bench = Bench::new();
    let mut puppet = bench.start::<Puppet>()?;
    bench.letter(&mut puppet, &[0xff, 1])?;
    bench.letter(&mut puppet, b"")?;
    assert_eq!(*puppet, Puppet::default());
    assert_eq!(bench.log().len(), 2);
    assert!(bench.log()[0].starts_with("a letter of 2 bytes is no message"));
    Ok(())
}

#[test]
fn what_the_host_refuses_comes_back_in_the_same_turn() -> Result {
    let mut bench = Bench::new();
    let mut puppet = bench.start::<Puppet>()?;
    let nowhere = Address::from_handle(0x00ab_cdef);
    puppet.kept = Some(nowhere);
    // Such a handle can't come in a letter, so the turn's functions are called with it by hand.
    bench.by_hand(&mut puppet, |_, cx| {
        cx.send(nowhere, Do::Nothing, 4);
        cx.ask(nowhere, Do::Nothing, 5, Duration::from_secs(1));
        Ok(())
    })?;
    assert_eq!(puppet.heard, ["4 NoActor", "5 Err(NoActor)"]);
    Ok(())
}

#[test]
fn chance_is_the_seed_s() -> Result {
    let numbers = || -> Result<Vec<String>> {
        let mut bench = Bench::new();
        let mut puppet = bench.start::<Puppet>()?;
        for _ in 0..3 {
            bench.handle(&mut puppet, Do::Random)?;
        }
        Ok(puppet.heard.clone())
    };
    let (first, again) = (numbers()?, numbers()?);
    assert_eq!(first, again);
    assert!(first[0] != first[1] && first[1] != first[2]);
    Ok(())
}

#[test]
fn only_a_driver_reaches_a_bus_and_only_a_protocol_a_link() -> Result {
    let device = |write: &[u8], read: usize| Ok(vec![write[0] + 1; read]);
    let mut bench = Bench::driver();
    bench.device("bus", device);
    let mut puppet = bench.start::<Puppet>()?;
    bench.handle(&mut puppet, Do::Transfer)?;
    assert_eq!(puppet.heard, ["Ok([209])"]);
    assert!(bench.handle(&mut puppet, Do::Connect(NodeId([1; 32]))).is_err());

    let mut bench = Bench::protocol();
    bench.device("bus", device);
    let mut puppet = bench.start::<Puppet>()?;
    bench.handle(&mut puppet, Do::Transfer)?;
    assert_eq!(puppet.heard, ["Err(Denied)"]);
    bench.handle(&mut puppet, Do::Connect(NodeId([1; 32])))?;
    assert_eq!(bench.connects(), [NodeId([1; 32])]);
    Ok(())
}

#[test]
fn embedded_hal_drivers_find_their_bus() -> Result {
    use embedded_hal::i2c::I2c;
    let mut bench = Bench::driver();
    bench.device("bus", |write, read| Ok((0..read as u8).map(|at| write[0] + at).collect()));
    let mut puppet = bench.start::<Puppet>()?;
    bench.by_hand(&mut puppet, |_, cx| {
        let (mut id, mut data) = ([0; 2], [0; 2]);
        let bus = cx.bus("bus")?;
        bus.hal(cx).write_read(0x76, &[0x10], &mut id)?;
        bus.hal(cx).write(0x76, &[0x20, 1])?;
        bus.hal(cx).write_read(0x76, &[0x30], &mut data)?;
        assert_eq!((id, data), ([0x10, 0x11], [0x30, 0x31]));
        Ok(())
    })
}

#[test]
fn state_of_another_form_is_refused_with_a_reason() -> Result {
    #[derive(Serialize)]
    struct Later {
        v: u8,
        clock: [u64; 0],
    }
    let later = codec::encode(&Later { v: 1, clock: [] })?;
    let error = turn::Instance::<Puppet>::restore(&later).unwrap_err().to_string();
    assert!(error.contains("form 1"), "{error}");
    Ok(())
}
