//! How quinn behaves: as it comes, or as a node has it.

use std::sync::Arc;
use std::time::Duration;

use bench::Call;
use quinn::{AckFrequencyConfig, EndpointConfig, MtuDiscoveryConfig, TransportConfig};

/// Bytes of the largest packet, and on their way, if it is tuned.
const LARGEST_PACKET: u16 = 6500;
const WINDOW: u32 = 16 << 20;

/// quinn as it comes, or with `tuned=1` as a node has it (`net::endpoint::transport`): larger
/// packets where the path takes them, fewer acknowledgements, windows that hold what is on its way.
pub fn tune(call: &Call) -> anyhow::Result<(EndpointConfig, Arc<TransportConfig>)> {
    let (mut sockets, mut transport) = (EndpointConfig::default(), TransportConfig::default());
    if call.text("tuned").is_ok() {
        sockets.max_udp_payload_size(LARGEST_PACKET)?;
        let mut discovery = MtuDiscoveryConfig::default();
        discovery.upper_bound(LARGEST_PACKET);
        let mut acks = AckFrequencyConfig::default();
        acks.ack_eliciting_threshold(9_u32.into()).max_ack_delay(Some(Duration::from_millis(2)));
        transport.mtu_discovery_config(Some(discovery)).ack_frequency_config(Some(acks));
        transport.stream_receive_window(WINDOW.into()).receive_window(WINDOW.into());
        transport.send_window(WINDOW.into());
    }
    Ok((sockets, Arc::new(transport)))
}
