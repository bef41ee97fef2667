//! The flows of a run as a table: one row for each flow with loss, and one for all clean flows of a layer.

use std::collections::BTreeMap;

use comfy_table::Color;
use model::Layer;

use crate::layout::Layout;
use crate::run::{Flow, Outage};
use crate::table::{self, Column, Fit, Row};
use crate::units;

const COLUMNS: [Column<'static>; 7] = [
    Column { title: "flow", number: false, fit: Fit::Key },
    Column { title: "layer", number: false, fit: Fit::Drop(1) },
    Column { title: "sent", number: true, fit: Fit::Drop(2) },
    Column { title: "lost", number: true, fit: Fit::Always },
    Column { title: "worst outage", number: false, fit: Fit::Always },
    Column { title: "class", number: false, fit: Fit::Note },
    Column { title: "cause", number: false, fit: Fit::Note },
];

/// Renders all flows but the canaries; none where there is no other.
pub(super) fn table(flows: &[Flow], layout: &Layout<'_>) -> Option<String> {
    let judged: Vec<&Flow> = flows.iter().filter(|flow| flow.layer != Layer::Canary).collect();
    let (clean, listed): (Vec<&Flow>, Vec<&Flow>) =
        judged.iter().copied().partition(|flow| flow.is_clean() && !layout.verbose);
    let mut layers: BTreeMap<Layer, Vec<&Flow>> = BTreeMap::new();
    for flow in clean {
        layers.entry(flow.layer).or_default().push(flow);
    }
    let clean = layers.iter().map(|(layer, flows)| clean_row(*layer, flows));
    let rows: Vec<Row> = listed.into_iter().map(row).chain(clean).collect();
    (!rows.is_empty()).then(|| table::render(&COLUMNS, &rows, ", ", layout))
}

fn row(flow: &Flow) -> Row {
    let colour = match flow.is_clean() {
        true => Color::Green,
        false if flow.is_deny() || flow.sent == 0 => Color::Red,
        false => Color::Yellow,
    };
    let worst = flow.worst();
    let outage = match (worst, flow.sent) {
        (_, 0) => "no probes sent".to_owned(),
        (Some(outage), _) => outage.duration(),
        (None, _) => String::new(),
    };
    let cells = vec![
        flow.id.clone(),
        flow.layer.to_string(),
        units::count(flow.sent),
        units::count(flow.bad()),
        outage,
        worst.map(|outage| flow.class_of(outage).to_owned()).unwrap_or_default(),
        worst.map(Outage::cause).unwrap_or_default(),
    ];
    Row { cells, colour: Some(colour) }
}

fn clean_row(layer: Layer, flows: &[&Flow]) -> Row {
    let sent = flows.iter().map(|flow| flow.sent).sum();
    let result = if layer == Layer::Policy { "all blocked" } else { "no loss" };
    let cells = vec![
        units::plural(flows.len(), &format!("{layer} flow")),
        layer.to_string(),
        units::count(sent),
        "0".to_owned(),
        result.to_owned(),
        String::new(),
        String::new(),
    ];
    Row { cells, colour: Some(Color::Green) }
}
