//! The files of a bundle, written as a folder or as an archive. Equal files make equal archives.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use flate2::{Compression, GzBuilder};

use engine::exit::Usage;

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Path inside the bundle.
    pub(super) path: String,
    pub(super) text: String,
    /// Whether it can be run.
    pub(super) program: bool,
}

impl Member {
    fn mode(&self) -> u32 {
        if self.program { 0o755 } else { 0o644 }
    }
}

/// Writes an archive in which everything lies in the folder `name`.
pub(super) fn pack(path: &Path, name: &str, members: &[Member]) -> anyhow::Result<()> {
    let failed = || format!("{} could not be written", path.display());
    let file = File::create(path).with_context(failed)?;
    // No time and no name in the head: they would differ from one packing to the next.
    let mut archive = tar::Builder::new(GzBuilder::new().write(file, Compression::default()));
    for member in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(member.text.len() as u64);
        header.set_mode(member.mode());
        header.set_mtime(0);
        archive
            .append_data(&mut header, format!("{name}/{}", member.path), member.text.as_bytes())
            .with_context(failed)?;
    }
    let mut file = archive.into_inner().and_then(flate2::write::GzEncoder::finish).with_context(failed)?;
    file.flush().with_context(failed)
}

/// Writes a folder, which must not hold anything yet.
pub(super) fn unpacked(path: &Path, members: &[Member]) -> anyhow::Result<()> {
    if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
        let message = format!("{} holds files already: name a new folder, or FILE.tar.gz", path.display());
        return Err(Usage(message).into());
    }
    for member in members {
        let path = path.join(&member.path);
        let failed = || format!("{} could not be written", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(failed)?;
        }
        fs::write(&path, &member.text).with_context(failed)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(member.mode())).with_context(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members() -> Vec<Member> {
        let member =
            |path: &str, program| Member { path: path.to_owned(), text: "text\n".to_owned(), program };
        vec![member("repro.sh", true), member("configmaps/installed.yaml", false)]
    }

    #[test]
    fn a_folder_with_files_is_never_written_into() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle");
        unpacked(&path, &members()).unwrap();
        let mode = fs::metadata(path.join("repro.sh")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        assert_eq!(fs::read_to_string(path.join("configmaps/installed.yaml")).unwrap(), "text\n");
        let error = unpacked(&path, &members()).unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("name a new folder"), "{error}");
    }

    #[test]
    fn equal_files_make_equal_archives_in_which_all_is_in_one_folder() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a.tar.gz", "b.tar.gz"].map(|name| folder.path().join(name));
        for path in &paths {
            pack(path, "repro-r1", &members()).unwrap();
        }
        assert_eq!(fs::read(&paths[0]).unwrap(), fs::read(&paths[1]).unwrap());
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(File::open(&paths[0]).unwrap()));
        let seen: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap())
            })
            .collect();
        let expected = [("repro-r1/repro.sh", 0o755), ("repro-r1/configmaps/installed.yaml", 0o644)];
        assert_eq!(seen, expected.map(|(path, mode)| (path.to_owned(), mode)));
    }
}
