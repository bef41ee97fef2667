//! OCI archives of images.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::layer::Layer;
use super::{Image, ImageError, header, hex, read_error, write_error};

/// Writes images into one OCI archive that `ctr images import` reads.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write_archive(path: &Path, images: &[Image]) -> Result<(), ImageError> {
    let mut archive = Archive {
        tar: tar::Builder::new(File::create(path).map_err(write_error(path))?),
        seen: BTreeSet::new(),
        path: path.to_owned(),
    };
    archive.bytes("oci-layout", json!({"imageLayoutVersion": "1.0.0"}).to_string().as_bytes())?;
    let mut manifests = Vec::new();
    for image in images {
        manifests.push(archive.image(image)?);
    }
    let index = json!({"schemaVersion": 2, "manifests": manifests});
    archive.bytes("index.json", index.to_string().as_bytes())?;
    archive.tar.finish().map_err(write_error(path))
}

struct Archive {
    tar: tar::Builder<File>,
    seen: BTreeSet<String>,
    path: PathBuf,
}

impl Archive {
    fn image(&mut self, image: &Image) -> Result<Value, ImageError> {
        for layer in &image.layers {
            self.layer(layer)?;
        }
        let path = ("PATH".to_owned(), "/usr/sbin:/usr/bin".to_owned());
        let env = std::iter::once(&path).chain(&image.env);
        let env: Vec<String> = env.map(|(key, value)| format!("{key}={value}")).collect();
        let diff_ids: Vec<String> = image.layers.iter().map(|l| format!("sha256:{}", l.digest)).collect();
        let config = self.blob(&json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {"Entrypoint": image.entrypoint, "Env": env, "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }))?;
        let layers: Vec<Value> = image
            .layers
            .iter()
            .map(|l| descriptor("application/vnd.oci.image.layer.v1.tar", &l.digest, l.size))
            .collect();
        let manifest = self.blob(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config.0, config.1),
            "layers": layers,
        }))?;
        let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest.0, manifest.1);
        entry["annotations"] = json!({"io.containerd.image.name": image.reference});
        Ok(entry)
    }

    fn layer(&mut self, layer: &Layer) -> Result<(), ImageError> {
        if !self.seen.insert(layer.digest.clone()) {
            return Ok(());
        }
        let file = File::open(&layer.file).map_err(read_error(&layer.file))?;
        let mut header = header(tar::EntryType::Regular, 0o644);
        header.set_size(layer.size);
        let name = format!("blobs/sha256/{}", layer.digest);
        self.tar.append_data(&mut header, name, file).map_err(write_error(&self.path))
    }

    fn blob(&mut self, value: &Value) -> Result<(String, u64), ImageError> {
        let text = value.to_string();
        let digest = hex(&Sha256::digest(&text));
        if self.seen.insert(digest.clone()) {
            self.bytes(&format!("blobs/sha256/{digest}"), text.as_bytes())?;
        }
        Ok((digest, text.len() as u64))
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), ImageError> {
        let mut header = header(tar::EntryType::Regular, 0o644);
        header.set_size(bytes.len() as u64);
        self.tar.append_data(&mut header, name, bytes).map_err(write_error(&self.path))
    }
}

fn descriptor(media_type: &str, digest: &str, size: u64) -> Value {
    json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size})
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86_64" => "amd64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LayerBuilder, REGISTRY};
    use super::*;

    #[test]
    fn images_of_one_layer_share_its_blob() {
        let folder = tempfile::tempdir().unwrap();
        let mut builder = LayerBuilder::create(&folder.path().join("layer.tar")).unwrap();
        builder.file(Path::new("/etc/hostname"), "/etc/hostname").unwrap();
        let layer = builder.finish().unwrap();
        let image = |name: &str| Image {
            reference: format!("{REGISTRY}/{name}:{}", layer.short()),
            layers: vec![layer.clone()],
            entrypoint: vec![name.to_owned()],
            env: vec![],
        };
        let path = folder.path().join("images.tar");
        write_archive(&path, &[image("a"), image("b")]).unwrap();
        let mut archive = tar::Archive::new(File::open(&path).unwrap());
        let names: Vec<_> =
            archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().into_owned()).collect();
        // oci-layout, the layer, two configurations, two manifests, the index.
        assert_eq!(names.len(), 7, "{names:?}");
    }
}
