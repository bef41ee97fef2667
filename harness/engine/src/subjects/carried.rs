//! The part of the standard traffic that a subject carries.

use probe::flow::Via;
use probe::traffic::Traffic;
use subject::{Capability, Subject};

/// As much of the standard traffic as a subject carries.
pub fn traffic(subject: &dyn Subject, standard: Traffic) -> Traffic {
    let carries = subject.carries();
    let mut vias = Vec::new();
    if !carries.has(Capability::Services) {
        vias.extend([Via::ClusterIp, Via::NodePort]);
    }
    if !carries.has(Capability::World) {
        vias.push(Via::Outside);
    }
    let carried = if vias.is_empty() { standard } else { standard.without(&vias) };
    if carries.has(Capability::Policies) { carried } else { carried.without_policies() }
}

/// Describes the standard traffic that a subject does not carry; `None` if it carries all.
pub fn missing(subject: &dyn Subject) -> Option<String> {
    let missing = subject.carries().missing()?;
    Some(format!("{} does not carry {missing}: no such traffic is sent", subject.name()))
}
