//! The program `seatrial-standin`: where it is, what it describes, and the layer of images that holds it.

use std::path::{Path, PathBuf};

use cluster::Run;
use cluster::images::{Layer, LayerBuilder, host_program};
use model::Version;
use serde::Deserialize;

use crate::error::PrepareError;
use crate::input::InputError;
use crate::spawn;

/// File name of the program.
const NAME: &str = "seatrial-standin";
/// Environment variable that names the program by its path.
const VARIABLE: &str = "SEATRIAL_STANDIN";
/// Where the program is in an image.
const IN_IMAGE: &str = "/usr/bin/seatrial-standin";
/// The version of the program's command line that is used here.
const INTERFACE: u32 = 1;
const REMEDY: &str = "build it with `cargo build -p standin` in a checkout (with --release if seatrial was built so), or \
                      name it in SEATRIAL_STANDIN";

/// The stand-in's program and its description.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    description: Description,
}

/// The output of `seatrial-standin describe`.
#[derive(Clone, Debug, Deserialize)]
struct Description {
    interface: u32,
    minors: Vec<Minor>,
    newest: String,
    links: Vec<String>,
    tools: Vec<Tool>,
    environment: Variables,
}

#[derive(Clone, Debug, Deserialize)]
struct Minor {
    minor: String,
    images: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Tool {
    program: String,
    package: String,
}

/// Names of the environment variables of a container.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Variables {
    /// The variable that names the version to play.
    pub(crate) version: String,
    /// The variable that holds the port of the kubelet's health checks over HTTP.
    pub(crate) health_port: String,
}

impl Program {
    /// Finds the program and reads its description.
    ///
    /// # Errors
    /// When it is not found, cannot be started, or is not a stand-in for this seatrial.
    pub fn find() -> Result<Self, InputError> {
        let own = std::env::current_exe().ok();
        let path = locate(std::env::var_os(VARIABLE).map(PathBuf::from), own.as_deref())?;
        let output = spawn::blocking_output(&path, &["describe"]);
        match output {
            Ok(output) if output.status.success() => Self::described(path, &output.stdout),
            Ok(output) => Err(InputError(format!(
                "`{} describe` failed with {}; {REMEDY}",
                path.display(),
                output.status
            ))),
            Err(e) => {
                Err(InputError(format!("the stand-in {} cannot be started: {e}; {REMEDY}", path.display())))
            }
        }
    }

    /// A program whose description is known.
    ///
    /// # Errors
    /// When it is not the description of a stand-in for this seatrial.
    pub fn described(path: PathBuf, description: &[u8]) -> Result<Self, InputError> {
        let wrong = |why: String| {
            InputError(format!("{} is not a stand-in for this seatrial: {why}; {REMEDY}", path.display()))
        };
        let description: Description =
            serde_json::from_slice(description).map_err(|e| wrong(e.to_string()))?;
        match description.interface {
            INTERFACE => Ok(Self { path, description }),
            other => Err(wrong(format!("its interface is {other}, not {INTERFACE}"))),
        }
    }

    /// Checks that the stand-in can play a version from a chart of its own.
    ///
    /// # Errors
    /// When it cannot; the message has the minors that it can.
    pub fn supports(&self, version: &Version) -> Result<(), InputError> {
        if self.minor(version).is_some() {
            return Ok(());
        }
        let minors: Vec<_> = self.description.minors.iter().map(|known| known.minor.as_str()).collect();
        let minors = minors.join(", ");
        Err(InputError(format!(
            "the stand-in plays Cilium {minors}, not {version}; choose versions among these"
        )))
    }

    /// Returns the names of a version's images, without a registry.
    pub(crate) fn images(&self, version: &Version) -> impl Iterator<Item = String> {
        let tag = version.tag();
        self.minor(version)
            .into_iter()
            .flat_map(|minor| &minor.images)
            .map(move |image| image.replace("{tag}", &tag))
    }

    /// Returns the tag of the version that it plays in place of `version` in the charts of others.
    pub(crate) fn played(&self, version: &Version) -> String {
        let newest = self.description.newest.trim_start_matches('v').parse::<Version>();
        newest.ok().filter(|newest| newest < version).unwrap_or_else(|| version.clone()).tag()
    }

    /// Names of the environment variables of a container.
    pub(crate) fn environment(&self) -> &Variables {
        &self.description.environment
    }

    /// Writes the chart of a version's minor into `folder`.
    pub(crate) async fn write_chart(&self, version: &Version, folder: &Path) -> Result<(), PrepareError> {
        let minor = version.minor().to_string();
        let write = Run::new(&self.path).args(["chart", &minor]).arg(folder).output().await;
        write.map(drop).map_err(|source| PrepareError::Command {
            what: format!("the stand-in's chart for {minor} could not be written"),
            source: Box::new(source),
        })
    }

    /// Packs the program with its links and the programs of this machine that it runs.
    pub(crate) async fn layer(&self, scratch: &Path) -> Result<Layer, PrepareError> {
        let mut layer = LayerBuilder::create(&scratch.join("standin.tar"))?;
        layer.program(&self.path, IN_IMAGE).await?;
        for link in &self.description.links {
            layer.link(link, IN_IMAGE)?;
        }
        for Tool { program, package } in &self.description.tools {
            layer.program(&host_program(program, package)?, &format!("/usr/sbin/{program}")).await?;
        }
        layer.folder("/tmp")?;
        Ok(layer.finish()?)
    }

    fn minor(&self, version: &Version) -> Option<&Minor> {
        let wanted = version.minor().to_string();
        self.description.minors.iter().find(|known| known.minor == wanted)
    }
}

/// The file that `named` names, else the program next to this one, else the one on `PATH`.
fn locate(named: Option<PathBuf>, own: Option<&Path>) -> Result<PathBuf, InputError> {
    if let Some(named) = named {
        let wrong =
            |why: String| InputError(format!("{VARIABLE} names {}: {why}; {REMEDY}", named.display()));
        return match std::fs::metadata(&named) {
            Ok(found) if found.is_file() => Ok(named),
            Ok(_) => Err(wrong("it is not a file".to_owned())),
            Err(e) => Err(wrong(e.to_string())),
        };
    }
    let beside = own.map(|own| own.with_file_name(NAME)).filter(|beside| beside.is_file());
    beside.or_else(|| which::which(NAME).ok()).ok_or_else(|| {
        let own = own.map_or_else(String::new, |own| format!("next to {} or ", own.display()));
        InputError(format!("the stand-in {NAME} is not {own}on PATH; {REMEDY}"))
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn program() -> Program {
        let description = include_bytes!("../../standin/description.json");
        Program::described("seatrial-standin".into(), description).unwrap()
    }

    #[test]
    fn the_variable_comes_before_the_neighbour_and_both_before_path() {
        let folder = tempfile::tempdir().unwrap();
        let (named, beside) = (folder.path().join("named"), folder.path().join(NAME));
        let own = folder.path().join("seatrial");
        std::fs::write(&named, "").unwrap();
        std::fs::write(&beside, "").unwrap();
        assert_eq!(locate(Some(named.clone()), Some(&own)).unwrap(), named);
        assert_eq!(locate(None, Some(&own)).unwrap(), beside);
    }

    #[test]
    fn a_missing_program_names_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let error = locate(Some(missing.clone()), None).unwrap_err().to_string();
        assert!(
            error.contains(missing.to_str().unwrap()) && error.contains("cargo build -p standin"),
            "{error}"
        );
    }

    #[rstest]
    #[case::other_program("1.2.3", "is not a stand-in")]
    #[case::other_interface(
        r#"{"interface": 2, "minors": [], "newest": "", "links": [], "tools": [],
            "environment": {"version": "", "health_port": ""}}"#,
        "its interface is 2, not 1"
    )]
    fn another_interface_is_refused(#[case] printed: &str, #[case] words: &str) {
        let error = Program::described("old".into(), printed.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("cargo build -p standin"), "{error}");
    }

    #[rstest]
    #[case::itself("1.5.13", "v1.5.13")]
    #[case::newer("1.16.19", "v1.6.12")]
    fn newer_versions_are_played_by_the_newest(#[case] version: &str, #[case] expected: &str) {
        assert_eq!(program().played(&version.parse().unwrap()), expected);
    }

    #[test]
    fn images_have_the_tag_of_the_version() {
        let images: Vec<_> = program().images(&"1.5.13".parse().unwrap()).collect();
        assert_eq!(images, ["cilium:v1.5.13", "operator:v1.5.13", "cilium-init:2019-04-05"]);
    }

    #[test]
    fn a_version_that_is_not_played_names_those_that_are() {
        let program = program();
        assert!(program.supports(&"1.0.7".parse().unwrap()).is_ok());
        let error = program.supports(&"1.7.0".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, not 1.7.0"), "{error}");
    }
}
