//! From a manifest's grants to what an actor holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{DeployError, Node};
use crate::actor::{Child, Spec};
use crate::address::{ActorId, Address, TopicId};
use crate::config::grant::Grant;
use crate::config::{ActorConfig, Component};
use crate::wasm::table::Held;
use crate::wasm::{Code, World};

impl Node {
    /// Gives an actor what its manifest grants; on an error nothing stays claimed.
    pub(super) fn grant(
        &self,
        id: ActorId,
        actor: &str,
        spec: &mut Spec,
        config: &ActorConfig,
        children: &BTreeMap<Component, Arc<Code>>,
    ) -> Result<(), DeployError> {
        for (name, grant) in &config.grants {
            if let Err(error) = self.give(id, actor, spec, name, grant, children) {
                self.scheduler.release_devices(actor, spec);
                return Err(error);
            }
        }
        Ok(())
    }

    fn give(
        &self,
        id: ActorId,
        actor: &str,
        spec: &mut Spec,
        name: &str,
        grant: &Grant,
        children: &BTreeMap<Component, Arc<Code>>,
    ) -> Result<(), DeployError> {
        let refused = |why: &str| DeployError::Grant { name: name.into(), why: why.into() };
        let world = spec.code.world;
        let held = match grant {
            Grant::Sensor(sensor) => Held::Sensor(self.devices.sensor(sensor)?.0),
            Grant::Pin(pin) => Held::Pin(self.devices.claim(id, pin)?.0),
            Grant::Bus(_) if world != World::Driver => {
                return Err(refused("a bus is for a driver, and its component never uses one"));
            }
            Grant::Bus(bus) => Held::Bus(self.devices.claim_bus(id, bus)?.0),
            Grant::Topic { name, subscribe } => {
                let topic = TopicId::named(name);
                if *subscribe {
                    spec.subscriptions.push(topic);
                }
                Held::Topic(topic)
            }
            Grant::Address(address) => Held::Actor(address.clone()),
            Grant::Actor(other) => Held::Actor(Address::new(self.id_of(other)?, self.id)),
            Grant::Links { .. } if world != World::Protocol => {
                return Err(refused("links are for a protocol, and its component never uses any"));
            }
            Grant::Links { name: channel } => {
                spec.links = Some(channel.clone().unwrap_or_else(|| actor.into()));
                return Ok(());
            }
            Grant::Child(child) => {
                let config = &child.actor;
                let code = children.get(&config.component);
                let code = code.ok_or_else(|| refused("its code is missing"))?;
                let mut made = self.spec(config, code.clone());
                self.grant(id, actor, &mut made, config, children)?;
                let child = Child { most: child.max, spec: Arc::new(made) };
                spec.children.insert(name.into(), child);
                Held::Child(name.into())
            }
        };
        spec.grants.push((name.into(), held));
        Ok(())
    }
}
