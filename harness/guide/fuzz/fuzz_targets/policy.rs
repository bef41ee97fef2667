//! Any text: reading and linting policies never panics.

#![no_main]

use guide::lint::{Change, Source, lint};
use guide::Kernel;
use model::Version;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let kernel = Some(Kernel { major: 4, minor: 9 });
    let (old, new) = (Version::new(1, 0, 7), Version::new(1, 7, 16));
    for (from, to) in [(&old, &new), (&new, &old)] {
        let change = Change { from: from.clone(), to: to.clone(), kernel };
        if let Ok(report) = lint(&[Source { file: "fuzz", text }], &change) {
            assert!(report.findings.iter().all(|finding| finding.line > 0 && finding.column > 0));
        }
    }
});
