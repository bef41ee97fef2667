//! `cilium preflight migrate-identity`: identities of the kvstore become `CiliumIdentity` objects with the same numbers.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};

use tokio::time::Instant;

use super::labels::Labels;
use super::{IdentityError, draw};
use crate::chain;

const CLAIMS: usize = 16;

/// Where identities are migrated to.
pub(crate) trait Target {
    /// Assigns the number `id` to `labels`; false if another identity has it.
    async fn create(&mut self, id: u32, labels: &Labels) -> Result<bool, IdentityError>;

    /// Every existing identity.
    async fn all(&self) -> Result<BTreeMap<u32, Labels>, IdentityError>;
}

/// The lines that the command prints, in the form of upstream's logger.
pub(crate) struct Log<'a, W> {
    out: &'a mut W,
    started: Instant,
}

impl<'a, W: Write> Log<'a, W> {
    /// Starts the clock whose seconds each line begins with.
    pub(crate) fn new(out: &'a mut W) -> Self {
        Self { out, started: Instant::now() }
    }

    /// Prints a line without fields.
    pub(crate) fn info(&mut self, message: &str) -> io::Result<()> {
        self.line("INFO", message, &[])
    }

    /// Prints why the command ends.
    pub(crate) fn fatal(
        &mut self,
        message: &str,
        error: &(dyn std::error::Error + 'static),
    ) -> io::Result<()> {
        self.line("FATA", message, &[("error", quoted(chain(error)))])
    }

    fn line(&mut self, level: &str, message: &str, fields: &[(&str, String)]) -> io::Result<()> {
        let seconds = self.started.elapsed().as_secs();
        let width = if fields.is_empty() { 0 } else { 44 };
        write!(self.out, "{level}[{seconds:04}] {message:width$}")?;
        for (key, value) in fields {
            write!(self.out, " {key}={value}")?;
        }
        writeln!(self.out)
    }
}

/// Migrates the identities of the kvstore. Running it again leaves migrated identities as they are.
///
/// A failure of one identity does not end it; every identity gets a line.
pub(crate) async fn migrate<W: Write>(
    identities: &BTreeMap<u32, Labels>,
    target: &mut impl Target,
    log: &mut Log<'_, W>,
) -> io::Result<()> {
    let mut taken = Vec::new();
    for (id, labels) in identities {
        let named = [("identity", id.to_string()), ("identityLabels", quoted(labels))];
        match target.create(*id, labels).await {
            Ok(true) => log.line("INFO", "Migrated identity", &named)?,
            Ok(false) => taken.push((*id, labels)),
            Err(error) => {
                let message =
                    "Cannot allocate CRD ID. This key will be allocated with a new numeric identity";
                let [identity, labels] = named;
                log.line("ERRO", message, &[("error", quoted(chain(&error))), identity, labels])?;
            }
        }
    }
    for (id, labels) in taken {
        second_look(id, labels, target, log).await?;
    }
    Ok(())
}

/// Checks whether an existing number belongs to the same labels or to others.
async fn second_look<W: Write>(
    id: u32,
    labels: &Labels,
    target: &mut impl Target,
    log: &mut Log<'_, W>,
) -> io::Result<()> {
    let text = || ("identityLabels", quoted(labels));
    let old = || ("oldIdentity", id.to_string());
    let known = target.all().await;
    if known.as_ref().is_ok_and(|known| known.get(&id) == Some(labels)) {
        let message = "ID was already allocated to this key. It is already migrated";
        return log.line("INFO", message, &[("identity", id.to_string()), text()]);
    }
    let message = "ID is allocated to a different key in CRD. A new ID will be allocated for the this key";
    log.line("WARN", message, &[text(), old()])?;
    let allocated = match known {
        Ok(known) => allocate(known, labels, target).await,
        Err(error) => Err(error),
    };
    match allocated {
        Ok((new, reused)) => {
            if reused {
                let key = [("key", quoted(labels)), ("subsys", "allocator".to_owned())];
                log.line("INFO", "Reusing existing global key", &key)?;
            }
            let fields = [("identity", new.to_string()), text(), old()];
            log.line("INFO", "New ID allocated for key in CRD", &fields)
        }
        Err(error) => {
            let fields = [("error", quoted(chain(&error))), text(), old()];
            log.line("ERRO", "Cannot allocate new CRD ID for key", &fields)
        }
    }
}

/// The number that `labels` have by now, and whether they had it before.
async fn allocate(
    mut known: BTreeMap<u32, Labels>,
    labels: &Labels,
    target: &mut impl Target,
) -> Result<(u32, bool), IdentityError> {
    if let Some((id, _)) = known.iter().find(|(_, it)| *it == labels) {
        return Ok((*id, true));
    }
    for _ in 0..CLAIMS {
        let Some(id) = draw(&known) else { break };
        if target.create(id, labels).await? {
            return Ok((id, false));
        }
        known.insert(id, Labels::default());
    }
    Err(IdentityError::Exhausted(labels.clone()))
}

/// Quotes a value that contains a blank.
fn quoted(value: impl Display) -> String {
    format!("{:?}", value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::etcd::EtcdError;

    #[derive(Default)]
    struct Objects {
        known: BTreeMap<u32, Labels>,
        /// The number that is refused.
        broken: Option<u32>,
    }

    impl Target for Objects {
        async fn create(&mut self, id: u32, labels: &Labels) -> Result<bool, IdentityError> {
            if self.broken == Some(id) {
                return Err(EtcdError::Answer("no".into()).into());
            }
            let free = !self.known.contains_key(&id);
            self.known.entry(id).or_insert_with(|| labels.clone());
            Ok(free)
        }

        async fn all(&self) -> Result<BTreeMap<u32, Labels>, IdentityError> {
            Ok(self.known.clone())
        }
    }

    fn labels(class: &str) -> Labels {
        Labels::parse(&format!("k8s:class={class};"))
    }

    fn kvstore() -> BTreeMap<u32, Labels> {
        BTreeMap::from([
            (11730, labels("deathstar")),
            (17003, labels("xwing")),
            (34815, labels("tiefighter")),
        ])
    }

    async fn run(objects: &mut Objects) -> Vec<String> {
        let mut out = Vec::new();
        migrate(&kvstore(), objects, &mut Log::new(&mut out)).await.unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn numbers_are_kept_and_a_second_run_changes_nothing() {
        let mut objects = Objects::default();
        let first = run(&mut objects).await;
        assert_eq!(first.len(), 3);
        assert_eq!(
            first[2],
            "INFO[0000] Migrated identity                            identity=34815 \
             identityLabels=\"k8s:class=tiefighter;\""
        );
        assert_eq!(objects.known, kvstore());
        let second = run(&mut objects).await;
        assert!(second.iter().all(|line| line.contains("It is already migrated")), "{second:?}");
        assert_eq!(objects.known, kvstore());
    }

    #[tokio::test]
    async fn a_number_of_others_is_left_to_them_and_a_new_one_is_found_once() {
        let mut objects = Objects::default();
        objects.known.insert(11730, labels("falcon"));
        let first = run(&mut objects).await;
        assert!(first[2].starts_with("WARN[0000] ID is allocated to a different key in CRD"), "{first:?}");
        assert!(
            first[3].contains("New ID allocated") && first[3].ends_with("oldIdentity=11730"),
            "{first:?}"
        );
        assert_eq!(objects.known[&11730], labels("falcon"));
        let after = objects.known.clone();
        assert_eq!(after.values().filter(|it| **it == labels("deathstar")).count(), 1);
        let second = run(&mut objects).await;
        assert!(second.iter().any(|line| line.contains("Reusing existing global key")), "{second:?}");
        assert_eq!(objects.known, after);
    }

    #[tokio::test]
    async fn one_that_is_refused_does_not_hold_up_the_others() {
        let mut objects = Objects { broken: Some(17003), ..Objects::default() };
        let lines = run(&mut objects).await;
        assert!(lines[1].starts_with("ERRO[0000] Cannot allocate CRD ID."), "{lines:?}");
        assert_eq!(objects.known.len(), 2);
    }
}
