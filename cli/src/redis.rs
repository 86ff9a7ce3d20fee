//! From the `[store]` table to a connected Redis; every mistake is named with its remedy.

use std::{fs, path::Path, time::Duration};

use shared::problem::chain;
use store::{Redis, RedisConfig, Tls, Topology};

use crate::{
    deployment_file::{RawStore, RawTopology},
    secret_file,
};

/// Connects auth-server's store.
pub(crate) async fn auth_server(raw: &RawStore) -> Result<Redis, String> {
    let url_file = raw.auth_redis_url_file.as_deref();
    connect(config(raw, "auth:", "store.auth_redis_url_file", url_file)?).await
}

/// Connects the gateway's store.
pub(crate) async fn gateway(raw: &RawStore) -> Result<Redis, String> {
    let url_file = raw.gateway_redis_url_file.as_deref();
    connect(config(raw, "gateway:", "store.gateway_redis_url_file", url_file)?).await
}

/// Reads everything the table names, without connecting.
pub(crate) fn check(raw: &RawStore, is_auth: bool, is_gateway: bool) -> Result<(), String> {
    if is_auth {
        let url_file = raw.auth_redis_url_file.as_deref();
        config(raw, "auth:", "store.auth_redis_url_file", url_file)?;
    }
    if is_gateway {
        let url_file = raw.gateway_redis_url_file.as_deref();
        config(raw, "gateway:", "store.gateway_redis_url_file", url_file)?;
    }
    Ok(())
}

async fn connect(config: RedisConfig) -> Result<Redis, String> {
    Redis::connect(config).await.map_err(|error| format!("Redis: {}", chain(&error)))
}

fn config(
    raw: &RawStore,
    prefix: &str,
    name: &str,
    url_file: Option<&Path>,
) -> Result<RedisConfig, String> {
    Ok(RedisConfig {
        connect_timeout: Duration::from_secs(2),
        prefix: prefix.to_owned(),
        replicas: raw.replicas,
        response_timeout: Duration::from_secs(8),
        tls: tls(raw)?,
        topology: topology(raw, name, url_file)?,
    })
}

fn topology(raw: &RawStore, name: &str, url_file: Option<&Path>) -> Result<Topology, String> {
    let path = url_file.ok_or_else(|| format!("{name} is missing: write the URL into a file"))?;
    let urls = lines(name, path)?;
    if raw.redis_sentinels_file.is_some() && raw.redis_topology != RawTopology::Sentinel {
        return Err("store.redis_sentinels_file is given, but nothing says that sentinels watch \
             the server; write `redis_topology = \"sentinel\"`"
            .to_owned());
    }
    match (raw.redis_topology, <[String; 1]>::try_from(urls)) {
        (RawTopology::Cluster, Ok(seed)) => Ok(Topology::Cluster { seeds: seed.to_vec() }),
        (RawTopology::Cluster, Err(seeds)) => Ok(Topology::Cluster { seeds }),
        (RawTopology::Single, Ok([url])) => Ok(Topology::Single { url }),
        (RawTopology::Single, Err(_)) => Err(format!(
            "{name}: there are several URLs; a Cluster needs `redis_topology = \"cluster\"`, and \
             one server one URL"
        )),
        (RawTopology::Sentinel, Ok([primary])) => {
            let name = "store.redis_sentinels_file";
            let path = raw.redis_sentinels_file.as_deref().ok_or_else(|| {
                format!(
                    "{name} is missing: write the URLs of the sentinels into a file, one a line"
                )
            })?;
            Ok(Topology::Sentinel { primary, sentinels: lines(name, path)? })
        }
        (RawTopology::Sentinel, Err(_)) => Err(format!(
            "{name}: there are several URLs; with sentinels one URL names the primary, as in \
             redis://user:password@NAME/0, and store.redis_sentinels_file lists the sentinels"
        )),
    }
}

/// The lines of a secret file that say something; at least one.
fn lines(name: &str, path: &Path) -> Result<Vec<String>, String> {
    let text = secret_file::read(path).map_err(|error| format!("{name}: {error}"))?;
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    if lines.is_empty() {
        return Err(format!("{name}: there is no URL in {}; write one", path.display()));
    }
    Ok(lines)
}

fn tls(raw: &RawStore) -> Result<Tls, String> {
    let read = |name: &str, path: &Path| {
        fs::read(path).map_err(|error| format!("{name}: cannot read {}: {error}", path.display()))
    };
    let authorities =
        raw.redis_ca_file.as_deref().map(|path| read("store.redis_ca_file", path)).transpose()?;
    let client = match (raw.redis_certificate_file.as_deref(), raw.redis_key_file.as_deref()) {
        (Some(certificate), Some(key)) => Some((
            read("store.redis_certificate_file", certificate)?,
            secret_file::read(key)
                .map_err(|error| format!("store.redis_key_file: {error}"))?
                .into_bytes(),
        )),
        (None, None) => None,
        (Some(_), None) => {
            return Err("store.redis_key_file is missing: a certificate needs its key".to_owned());
        }
        (None, Some(_)) => {
            return Err(
                "store.redis_certificate_file is missing: a key needs its certificate".to_owned()
            );
        }
    };
    Ok(Tls { authorities, client })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn raw(text: &str) -> RawStore {
        toml::from_str(text).unwrap()
    }

    fn written(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn made(text: &str) -> Result<RedisConfig, String> {
        let raw = raw(text);
        config(&raw, "auth:", "store.auth_redis_url_file", raw.auth_redis_url_file.as_deref())
    }

    #[test]
    fn each_topology_is_read_from_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let one = written(&folder, "one", "redis://a:b@primary/0\n");
        let two = written(&folder, "two", "# seeds\nredis://h1:1/\n\nredis://h2:2/\n");
        let made = |text: &str| made(text).unwrap().topology;
        let single = made(&format!("auth_redis_url_file = {one:?}"));
        assert!(matches!(single, Topology::Single { url } if url == "redis://a:b@primary/0"));
        let cluster = made(&format!("auth_redis_url_file = {two:?}\nredis_topology = \"cluster\""));
        assert!(matches!(cluster, Topology::Cluster { seeds } if seeds.len() == 2));
        let sentinel = made(&format!(
            "auth_redis_url_file = {one:?}\nredis_topology = \"sentinel\"\n\
             redis_sentinels_file = {two:?}"
        ));
        assert!(matches!(sentinel, Topology::Sentinel { sentinels, .. } if sentinels.len() == 2));
    }

    #[test]
    fn every_example_of_the_page_about_redis_is_right() {
        let page = include_str!("../../docs/operate/redis.md");
        let folder = tempfile::tempdir().unwrap();
        let blocks = |kind: &str| {
            let start = format!("```{kind}\n");
            let bodies = page.split(&start).skip(1);
            bodies.map(|rest| rest.split("```").next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        for text in blocks("text") {
            let (name, text) = text.split_once('\n').unwrap();
            written(&folder, name.strip_prefix("# /etc/vestibule/").unwrap(), text);
        }
        for name in ["redis-ca.pem", "redis-client.pem", "redis-client.key"] {
            written(&folder, name, "a file in PEM");
        }
        let tables = blocks("toml");
        assert_eq!(tables.len(), 3);
        for table in tables {
            let here = format!("{}/", folder.path().display());
            let table = table.replace("[store]\n", "").replace("/etc/vestibule/", &here);
            assert_eq!(check(&raw(&table), true, true), Ok(()), "{table}");
            let broken = table.replace("auth_redis_url_file", "# ");
            assert!(check(&raw(&broken), true, true).is_err());
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let one = written(&folder, "one", "redis://a:b@primary/0\n");
        let two = written(&folder, "two", "redis://h1:1/\nredis://h2:2/\n");
        let none = written(&folder, "none", "# nothing\n");
        for (text, remedy) in [
            (String::new(), "store.auth_redis_url_file is missing"),
            (format!("auth_redis_url_file = {two:?}"), "redis_topology = \"cluster\""),
            (format!("auth_redis_url_file = {none:?}"), "there is no URL"),
            (
                format!("auth_redis_url_file = {one:?}\nredis_topology = \"sentinel\""),
                "store.redis_sentinels_file is missing",
            ),
            (
                format!("auth_redis_url_file = {two:?}\nredis_topology = \"sentinel\""),
                "names the primary",
            ),
            (
                format!("auth_redis_url_file = {one:?}\nredis_sentinels_file = {two:?}"),
                "redis_topology = \"sentinel\"",
            ),
            (
                format!("auth_redis_url_file = {one:?}\nredis_certificate_file = {one:?}"),
                "store.redis_key_file is missing",
            ),
            (
                format!("auth_redis_url_file = {one:?}\nredis_key_file = {one:?}"),
                "store.redis_certificate_file is missing",
            ),
            (
                format!("auth_redis_url_file = {one:?}\nredis_ca_file = \"/none\""),
                "store.redis_ca_file: cannot read",
            ),
        ] {
            let error = made(&text).unwrap_err();
            assert!(error.contains(remedy), "{error}");
        }
    }
}
