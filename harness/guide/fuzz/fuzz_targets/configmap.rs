//! Any text: the reader never panics, and a rebase that succeeds can be read again.

#![no_main]

use std::collections::BTreeSet;

use guide::rebase::{Request, rebase};
use guide::ConfigMap;
use model::Version;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if ConfigMap::read(text).is_err() {
        return;
    }
    let (from, to) = (Version::new(1, 4, 10), Version::new(1, 6, 4));
    for (from, to) in [(&from, &to), (&to, &from)] {
        let request = Request { from, to, template: None, adopt: BTreeSet::new(), comments: true };
        if let Ok(rebased) = rebase(text, &request) {
            assert!(ConfigMap::read(&rebased.text).is_ok());
        }
    }
});
