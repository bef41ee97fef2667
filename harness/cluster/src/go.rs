//! Programs that are built from pinned Go modules and kept in the cache.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::spawn::{CommandError, Run};

/// How long a build may take.
const BUILD: Duration = Duration::from_secs(2 * 3_600);

/// A program could not be built.
#[derive(Debug, thiserror::Error)]
pub enum GoError {
    /// Go is not installed.
    #[error("Go is not installed to build {name}; install Go 1.24 or newer and put it on PATH")]
    NoGo {
        /// The program.
        name: String,
    },
    /// The build failed.
    #[error("building {name} from its pinned Go module failed")]
    Build {
        /// The program.
        name: String,
        /// The cause.
        #[source]
        source: CommandError,
    },
    /// The cache cannot be written.
    #[error("the component cache {} cannot be written; set SEATRIAL_CACHE to a writable folder", folder.display())]
    Cache {
        /// The cache.
        folder: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// A program and the module that pins its versions.
#[derive(Clone, Copy, Debug)]
pub struct GoProgram<'a> {
    /// File name of the program.
    pub name: &'a str,
    /// Package of the program, such as `k8s.io/kubernetes/cmd/kubelet`, or `.` for the module's own.
    pub package: &'a str,
    /// Contents of the module's go.mod.
    pub go_mod: &'a str,
    /// Contents of its go.sum; empty for a module without dependencies.
    pub go_sum: &'a str,
    /// Source files of the module itself: name and contents.
    pub sources: &'a [(&'a str, &'a str)],
    /// Flags for the linker, after `-s -w`.
    pub ldflags: &'a str,
    /// Whether parts of it are written in C.
    pub cgo: bool,
}

impl GoProgram<'_> {
    /// Returns the path of the built program in `cache`, whether it exists or not.
    #[must_use]
    pub fn cached(&self, cache: &Path) -> PathBuf {
        let mut hash = Sha256::new();
        hash.update(if self.go_sum.is_empty() { self.go_mod } else { self.go_sum });
        self.sources.iter().for_each(|(_, text)| hash.update(text));
        let key = crate::images::hex(&hash.finalize()[..8]);
        cache.join("components").join(key).join(self.name)
    }

    /// Returns the cached program, or builds it; `progress` is called before a build, which takes minutes.
    ///
    /// # Errors
    /// When Go is missing, the build fails, or the cache cannot be written.
    pub async fn resolve(
        &self,
        cache: &Path,
        progress: &(dyn Fn(String) + Sync),
    ) -> Result<PathBuf, GoError> {
        let target = self.cached(cache);
        if target.is_file() {
            return Ok(target);
        }
        let Ok(go) = which::which("go") else { return Err(GoError::NoGo { name: self.name.to_owned() }) };
        progress(format!("building {} from its pinned Go module (once, takes minutes)", self.name));
        self.build(&go, &target).await?;
        Ok(target)
    }

    async fn build(&self, go: &Path, target: &Path) -> Result<(), GoError> {
        let folder = target.parent().unwrap_or(target).to_path_buf();
        let cache = |source| GoError::Cache { folder: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(cache)?;
        // The module files are part of this program, so that an installed binary needs no checkout.
        let module = tempfile::tempdir_in(&folder).map_err(cache)?;
        let files = [("go.mod", self.go_mod), ("go.sum", self.go_sum)];
        for (name, text) in files.iter().chain(self.sources) {
            std::fs::write(module.path().join(name), text).map_err(cache)?;
        }
        let built = module.path().join(self.name);
        let flags = format!("-s -w {}", self.ldflags);
        Run::new(go)
            .args(["build", "-trimpath", "-mod=readonly", "-ldflags", &flags, "-o"])
            .args([&built])
            .args([self.package])
            .env("CGO_ENABLED", if self.cgo { "1" } else { "0" })
            .current_dir(module.path())
            .within(BUILD)
            .output()
            .await
            .map_err(|source| GoError::Build { name: self.name.to_owned(), source })?;
        std::fs::rename(&built, target).map_err(cache)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: GoProgram<'_> = GoProgram {
        name: "tool",
        package: "example.invalid/tool",
        go_mod: "module tool\n",
        go_sum: "example.invalid/tool v1.0.0 h1:0=\n",
        sources: &[],
        ldflags: "",
        cgo: false,
    };

    #[test]
    fn another_version_or_source_is_another_program() {
        let cache = Path::new("/cache");
        let newer = GoProgram { go_sum: "example.invalid/tool v1.1.0 h1:0=\n", ..PROGRAM };
        let changed = GoProgram { sources: &[("main.go", "package main\n")], ..PROGRAM };
        let paths = [PROGRAM, newer, changed].map(|program| program.cached(cache));
        assert!(paths[0] != paths[1] && paths[0] != paths[2], "{paths:?}");
        assert!(paths.iter().all(|path| path.ends_with("tool")), "{paths:?}");
    }

    #[tokio::test]
    async fn a_built_program_is_taken_from_the_cache() {
        let cache = tempfile::tempdir().unwrap();
        let path = PROGRAM.cached(cache.path());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        assert_eq!(PROGRAM.resolve(cache.path(), &|_| panic!("it is built already")).await.unwrap(), path);
    }
}
