//! Faults that the ConfigMap switches on, to test whether measurements find them.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Agent;
use super::config::{ConfigError, Settings};
use crate::datapath::ruleset::Ruleset;
use crate::version::Version;
use crate::wait::pause;

/// The option, as in `standin-fault: policy-hole@1.6`: the fault, and the minor version that has it.
const OPTION: &str = "standin-fault";

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Three seconds after the agent is ready every policy on ingress is gone for 200 ms.
    PolicyHole,
    /// The first address that is behind any Service is behind none.
    LostBackend,
    /// Pods that are new to this agent get an address and no traffic.
    NoNetwork,
    /// Ten seconds after the agent is ready everything to pods with a policy is dropped for half a second.
    DelayedDrop,
    /// The proxy accepts connections and sends nothing.
    SilentProxy,
}

const KINDS: [(&str, Kind); 5] = [
    ("policy-hole", Kind::PolicyHole),
    ("lost-backend", Kind::LostBackend),
    ("no-network", Kind::NoNetwork),
    ("delayed-drop", Kind::DelayedDrop),
    ("silent-proxy", Kind::SilentProxy),
];

/// A fault of this agent.
#[derive(Debug)]
pub(crate) struct Fault {
    kind: Kind,
    /// Whether an intermittent fault is active now.
    now: AtomicBool,
    /// Pods that were wired since the agent started.
    new: Mutex<BTreeSet<Ipv4Addr>>,
}

impl Fault {
    /// Reads the option; none when it names another version.
    pub(crate) fn select(settings: &Settings, version: Version) -> Result<Option<Arc<Self>>, ConfigError> {
        let Some(text) = settings.get(OPTION).filter(|text| !text.is_empty()) else { return Ok(None) };
        let wrong = || ConfigError::Value {
            key: OPTION,
            value: text.to_owned(),
            expected: "policy-hole, lost-backend, no-network, delayed-drop or silent-proxy, @ and a minor version",
        };
        let (name, minor) = text.split_once('@').ok_or_else(wrong)?;
        let (_, kind) = KINDS.into_iter().find(|(known, _)| *known == name).ok_or_else(wrong)?;
        let own = format!("{}.{}", version.major, version.minor) == minor;
        Ok(own.then(|| Arc::new(Self { kind, now: AtomicBool::new(false), new: Mutex::default() })))
    }

    /// Whether the proxy sends nothing.
    pub(crate) fn silences_proxy(&self) -> bool {
        self.kind == Kind::SilentProxy
    }

    /// Notes a pod that was wired.
    pub(crate) fn wired(&self, ip: Ipv4Addr) {
        self.new.lock().unwrap_or_else(PoisonError::into_inner).insert(ip);
    }

    /// Spoils the rules.
    pub(crate) fn spoil(&self, ruleset: &mut Ruleset) {
        let now = self.now.load(Ordering::SeqCst);
        match self.kind {
            Kind::PolicyHole if now => ruleset.endpoints.values_mut().for_each(|it| it.ingress = None),
            Kind::DelayedDrop if now => {
                ruleset.endpoints.values_mut().filter_map(|it| it.ingress.as_mut()).for_each(Vec::clear);
            }
            Kind::LostBackend => {
                let all = ruleset.frontends.iter().flat_map(|it| &it.backends);
                if let Some(lost) = all.map(|(ip, _)| *ip).min() {
                    ruleset.frontends.iter_mut().for_each(|it| it.backends.retain(|(ip, _)| *ip != lost));
                }
            }
            Kind::NoNetwork => {
                for ip in &*self.new.lock().unwrap_or_else(PoisonError::into_inner) {
                    if let Some(verdicts) = ruleset.endpoints.get_mut(ip) {
                        (verdicts.egress, verdicts.ingress) = (Some(Vec::new()), Some(Vec::new()));
                    }
                }
            }
            Kind::PolicyHole | Kind::DelayedDrop | Kind::SilentProxy => {}
        }
    }
}

impl Agent {
    /// Activates and deactivates a fault, once.
    pub(super) async fn fail_for_a_while(self: Arc<Self>) {
        let Some(fault) = &self.fault else { return };
        let (after, length) = match fault.kind {
            Kind::PolicyHole => (Duration::from_secs(3), Duration::from_millis(200)),
            Kind::DelayedDrop => (Duration::from_secs(10), Duration::from_millis(500)),
            Kind::LostBackend | Kind::NoNetwork | Kind::SilentProxy => return,
        };
        for (wait, now) in [(after, true), (length, false)] {
            pause(wait).await;
            fault.now.store(now, Ordering::SeqCst);
            self.changed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn select(text: &str) -> Result<Option<Arc<Fault>>, ConfigError> {
        Fault::select(&[(OPTION, text)].into_iter().collect(), "1.6.12".parse().unwrap())
    }

    #[test]
    fn a_fault_is_there_only_where_it_is_asked_for() {
        assert!(Fault::select(&Settings::default(), "1.6.12".parse().unwrap()).unwrap().is_none());
        assert!(select("").unwrap().is_none());
        assert!(select("policy-hole@1.5").unwrap().is_none());
        assert_eq!(select("policy-hole@1.6").unwrap().unwrap().kind, Kind::PolicyHole);
    }

    #[rstest]
    #[case::no_version("policy-hole")]
    #[case::no_fault("hole@1.6")]
    fn what_is_no_fault_is_refused(#[case] text: &str) {
        assert!(select(text).unwrap_err().to_string().contains("policy-hole, lost-backend"));
    }
}
