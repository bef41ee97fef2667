//! The images of a run: this program under the names of all its roles, and the tools that the roles call.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cluster::images::{Image, Layer, LayerBuilder, REGISTRY, host_program};

use crate::roles;
use crate::scratch::Scratch;

/// One layer that all images share, on disk as long as this lives.
#[derive(Debug)]
pub struct Bundle {
    base: Layer,
    folder: Scratch,
}

impl Bundle {
    /// Packs this program.
    pub async fn new() -> anyhow::Result<Self> {
        let folder = Scratch::new("images-")?;
        let mut layer = LayerBuilder::create(&folder.path().join("base.tar"))?;
        let own = std::env::current_exe().context("this program's own file cannot be found")?;
        layer.program(&own, "/usr/bin/seatrial").await?;
        for role in roles::IN_IMAGES {
            layer.link(&format!("/usr/bin/{role}"), "seatrial")?;
        }
        for (program, package) in [("nft", "nftables"), ("conntrack", "conntrack")] {
            layer.program(&host_program(program, package)?, &format!("/usr/sbin/{program}")).await?;
        }
        layer.folder("/tmp")?;
        Ok(Self { base: layer.finish()?, folder })
    }

    /// A registry name for images whose tags are given: the content address is in the name.
    pub fn registry(&self, name: &str) -> String {
        format!("{REGISTRY}/{}/{name}", self.base.short())
    }

    /// An image for one role, tagged by its content.
    pub fn role(&self, role: &str) -> Image {
        self.named(format!("{REGISTRY}/{role}:{}", self.base.short()), role, Vec::new())
    }

    /// An image under a name of the caller's choice.
    pub fn named(&self, reference: String, role: &str, env: Vec<(String, String)>) -> Image {
        Image {
            reference,
            layers: vec![self.base.clone()],
            entrypoint: vec![format!("/usr/bin/{role}")],
            env,
        }
    }

    /// A layer of further programs of this machine in `/usr/bin`, and of links: path and target of each.
    pub async fn layer<'a>(
        &self,
        name: &str,
        programs: impl Iterator<Item = (&'a str, &'a PathBuf)>,
        links: &[(&str, &str)],
    ) -> anyhow::Result<Layer> {
        let mut layer = LayerBuilder::create(&self.folder.path().join(format!("{name}.tar")))?;
        for (name, program) in programs {
            layer.program(program, &format!("/usr/bin/{name}")).await?;
        }
        for (path, target) in links {
            layer.link(path, target)?;
        }
        Ok(layer.finish()?)
    }

    /// An image of another program alone.
    pub async fn program(&self, name: &str, program: &Path) -> anyhow::Result<Image> {
        let mut layer = LayerBuilder::create(&self.folder.path().join(format!("{name}.tar")))?;
        layer.program(program, &format!("/usr/bin/{name}")).await?;
        layer.folder("/tmp")?;
        let layer = layer.finish()?;
        Ok(Image {
            reference: format!("{REGISTRY}/{name}:{}", layer.short()),
            layers: vec![layer],
            entrypoint: vec![format!("/usr/bin/{name}")],
            env: Vec::new(),
        })
    }
}
