//! What comes up from the network and the devices, and where it goes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;

use super::{DeployError, Node, Waiting, lock};
use crate::device;
use crate::mailbox::{Edge, Message};
use crate::net::Event;
use crate::reason::Reason;
use crate::store::state::Commit;

/// Between two looks at links' round-trip times and at actors that wait for their component.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

impl Node {
    pub(super) fn listen_to(
        self: &Arc<Self>,
        mut events: Receiver<Event>,
        mut devices: Receiver<device::Event>,
    ) {
        let node = Arc::downgrade(self);
        self.net.spawn(async move {
            while let Some(event) = events.recv().await {
                let Some(node) = node.upgrade() else { return };
                node.arrived(event);
            }
        });
        let node = Arc::downgrade(self);
        self.net.spawn(async move {
            while let Some(event) = devices.recv().await {
                let Some(node) = node.upgrade() else { return };
                node.happened(event);
            }
        });
        let node = Arc::downgrade(self);
        self.net.spawn(async move {
            loop {
                tokio::time::sleep(LOOK_AGAIN).await;
                let Some(node) = node.upgrade() else { return };
                node.router.tell_rtts();
                node.look_for_components().await;
            }
        });
    }

    fn arrived(self: &Arc<Self>, event: Event) {
        let router = &self.router;
        match event {
            Event::Letters { letters, receipt, .. } => receipt.settle(router.arrive(letters)),
            Event::Settled(settled) => router.settled(settled),
            Event::Unanswered { reply, reason, .. } => {
                router.answer(reply, Err(reason));
            }
            Event::PeerUp { node, remote, .. } => {
                tracing::info!("peer {node} is up at {remote}");
                router.node_up(node);
                let node = self.clone();
                self.net.spawn(async move { node.look_for_components().await });
            }
            Event::PeerDown { node, why, .. } => {
                tracing::info!("peer {node} is down: {why}");
                router.node_down(node);
            }
            Event::Monitor { from, actor, token } => router.monitor_for(from, actor, token),
            Event::Down { token, reason, .. } => router.down(token, reason),
            Event::LinkOpened { node, name } => router.link_opened(node, &name),
            Event::LinkClosed { node, name, reason } => router.link_closed(node, &name, reason),
            Event::LinkData { node, name, body, .. } => router.link_data(node, &name, body),
            Event::LinkWritable { node, name } => router.link_writable(node, &name),
            Event::Admin { request, body, reply } => {
                let node = self.clone();
                self.net.spawn(async move { node.serve(&request, body, reply).await });
            }
        }
    }

    fn happened(&self, event: device::Event) {
        let pin = match event {
            device::Event::Edge { pin, .. } | device::Event::Expired { pin } => pin,
        };
        let owner = self.devices.owner(pin);
        let holder = owner.and_then(|owner| self.scheduler.holder(owner, pin.0));
        let Some(actor) = holder else { return };
        match event {
            device::Event::Edge { pin, level, at, sequence, dropped } => {
                let at = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
                actor.inlet().edge(Edge { pin: pin.0, level, at, sequence, dropped });
            }
            device::Event::Expired { pin } => {
                actor.journal().write("a pin's lease ran out: it is at its safe level");
                actor.inlet().signal(Message::Expired { pin: pin.0 });
            }
        }
    }

    /// Tries again to start the actors whose component was not to be had.
    async fn look_for_components(self: &Arc<Self>) {
        let waiting = lock(&self.waiting).clone();
        for (name, Waiting { config, .. }) in waiting {
            match self.deploy(&name, &config, Commit::default()).await {
                Err(DeployError::Missing(_)) => continue,
                Ok((actor, origin)) => {
                    tracing::info!("actor {name} starts at last: {origin}");
                    if !lock(&self.waiting).contains_key(&name) {
                        // It was stopped while its component was on its way. It may be gone.
                        let _ = self.scheduler.stop(&actor).await;
                    }
                }
                Err(DeployError::NameTaken(_)) => {}
                Err(why) => {
                    tracing::error!("actor {name} can't start: {why}");
                    // A store that can't be read has been told of.
                    let _ = self.give_up(&name, Reason::NoActor);
                }
            }
            lock(&self.waiting).remove(&name);
        }
    }
}
