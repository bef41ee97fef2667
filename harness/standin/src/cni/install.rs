//! Puts the plugin and its configuration onto the node.
//!
//! The program is linked dynamically and the node may lack its libraries, so it is installed with the loader and the
//! libraries that it runs with here, behind a small shell script that starts it with them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::behaviour::Behaviours;
use crate::files::write_atomically;
use crate::version::{Version, VersionError};

const PLUGIN: &str = "cilium-cni";
const CONF: &str = "05-cilium.conf";
/// The folder next to the plugin that holds the program and its libraries.
const PAYLOAD: &str = ".cilium-cni";
const CONF_TEXT: &str = r#"{
  "cniVersion": "0.3.1",
  "name": "cilium",
  "type": "cilium-cni"
}
"#;

/// The plugin cannot be put onto the node.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallError {
    /// A file.
    #[error("{} cannot be installed", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The version.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The program's own parts.
    #[error("the program's loader is not among its mapped files")]
    NoLoader,
}

/// Installs what `cni-install.sh` installs upstream.
pub(crate) fn install() -> Result<(), InstallError> {
    install_plugin()?;
    install_conf()
}

/// Installs the plugin alone.
pub(crate) fn install_plugin() -> Result<(), InstallError> {
    copy_plugin(&host().join("opt/cni/bin"))
}

/// Installs the plugin's configuration alone.
pub(crate) fn install_conf() -> Result<(), InstallError> {
    let custom = std::env::var("CILIUM_CUSTOM_CNI_CONF").is_ok_and(|it| it == "true");
    let behaviours = Behaviours::of(Version::from_env()?)?;
    let conf = host().join("etc/cni/net.d").join(CONF);
    if behaviours.cni_conf.writes(conf.exists(), custom) {
        write_atomically(&conf, CONF_TEXT.as_bytes(), 0o644).map_err(file_error(&conf))?;
    }
    Ok(())
}

/// What `cni-uninstall.sh` does at the end of every agent pod: nothing.
///
/// Removing the configuration here would make the node lose its network for as long as a restart takes, and the guide
/// promises that connectivity stays functional during an upgrade.
pub(crate) fn uninstall() {
    tracing::info!("the CNI configuration stays for the next agent");
}

/// Where the node's folders are mounted.
fn host() -> PathBuf {
    PathBuf::from(std::env::var_os("HOST_PREFIX").unwrap_or_else(|| "/host".into()))
}

fn copy_plugin(bin: &Path) -> Result<(), InstallError> {
    let program = Path::new("/proc/self/exe");
    let libraries = mapped_files().map_err(file_error(Path::new("/proc/self/maps")))?;
    let is_loader = |path: &&PathBuf| file_name(path).starts_with("ld-");
    let loader = libraries.iter().find(is_loader).ok_or(InstallError::NoLoader)?;
    let payload = bin.join(PAYLOAD);
    std::fs::create_dir_all(&payload).map_err(file_error(&payload))?;
    copy(program, &payload.join(PLUGIN))?;
    for library in &libraries {
        copy(library, &payload.join(file_name(library)))?;
    }
    // On the node the folder is /opt/cni/bin, which the script finds by its own name.
    let script = format!(
        "#!/bin/sh\nd=\"${{0%/*}}/{PAYLOAD}\"; exec \"$d/{}\" --library-path \"$d\" \"$d/{PLUGIN}\" \"$@\"\n",
        file_name(loader)
    );
    let script_path = bin.join(PLUGIN);
    write_atomically(&script_path, script.as_bytes(), 0o755).map_err(file_error(&script_path))
}

/// The shared objects of this process, the loader among them.
fn mapped_files() -> io::Result<BTreeSet<PathBuf>> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let program = std::fs::read_link("/proc/self/exe")?;
    Ok(shared_objects(&maps, &program))
}

fn shared_objects(maps: &str, program: &Path) -> BTreeSet<PathBuf> {
    let path =
        |line: &str| line.split_whitespace().nth(5).filter(|path| path.starts_with('/')).map(PathBuf::from);
    maps.lines().filter_map(path).filter(|path| path != program && file_name(path).contains(".so")).collect()
}

/// Copies a file unless its content is the same: an agent restart must not write the program again.
fn copy(from: &Path, to: &Path) -> Result<(), InstallError> {
    let same = same_content(from, to).map_err(file_error(to))?;
    if same {
        return Ok(());
    }
    let folder = to.parent().unwrap_or(Path::new("/"));
    let persist = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        io::copy(&mut File::open(from)?, &mut file)?;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o755))?;
        file.persist(to)?;
        Ok(())
    };
    persist().map_err(file_error(to))
}

fn same_content(from: &Path, to: &Path) -> io::Result<bool> {
    let there = match File::open(to) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let here = File::open(from)?;
    if here.metadata()?.len() != there.metadata()?.len() {
        return Ok(false);
    }
    let [mut here, mut there] = [here, there].map(|file| BufReader::with_capacity(1 << 16, file));
    loop {
        let (left, right) = (here.fill_buf()?, there.fill_buf()?);
        let common = left.len().min(right.len());
        if left[..common] != right[..common] {
            return Ok(false);
        }
        if common == 0 {
            return Ok(true);
        }
        here.consume(common);
        there.consume(common);
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn file_error(path: &Path) -> impl Fn(io::Error) -> InstallError {
    let path = path.to_owned();
    move |source| InstallError::File { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_loader_and_the_libraries() {
        let maps = "\
5581-5582 r--p 00000000 08:01 11 /usr/bin/seatrial
7f11-7f12 r--p 00000000 08:01 12 /usr/lib/x86_64-linux-gnu/libc.so.6
7f12-7f13 r-xp 00001000 08:01 12 /usr/lib/x86_64-linux-gnu/libc.so.6
7f14-7f15 r--p 00000000 08:01 13 /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
7f16-7f17 rw-p 00000000 00:00 0
7ffc-7ffd rw-p 00000000 00:00 0 [stack]
";
        let found = shared_objects(maps, Path::new("/usr/bin/seatrial"));
        let names: Vec<_> = found.iter().map(|path| file_name(path)).collect();
        assert_eq!(names, ["ld-linux-x86-64.so.2", "libc.so.6"]);
    }

    #[test]
    fn a_file_with_the_same_content_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
        std::fs::write(&from, "plugin").unwrap();
        copy(&from, &to).unwrap();
        let written = std::fs::metadata(&to).unwrap().modified().unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(std::fs::metadata(&to).unwrap().modified().unwrap(), written);
        std::fs::write(&from, "PLUGIN").unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"PLUGIN");
    }

    #[test]
    fn the_installed_plugin_runs_with_its_own_libraries() {
        let folder = tempfile::tempdir().unwrap();
        copy_plugin(folder.path()).unwrap();
        let payload = folder.path().join(PAYLOAD);
        assert!(payload.join(PLUGIN).exists());
        assert!(std::fs::read_dir(&payload).unwrap().count() >= 3, "program, loader and libc");
    }
}
