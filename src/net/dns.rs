//! Names to addresses, without the system's resolver: a static binary cannot load its modules.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::NetError;

/// Where names are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameFiles {
    /// Names and their addresses, as in hosts(5).
    pub hosts: PathBuf,
    /// The name servers, as in resolv.conf(5).
    pub resolv_conf: PathBuf,
}

impl Default for NameFiles {
    fn default() -> Self {
        NameFiles { hosts: "/etc/hosts".into(), resolv_conf: "/etc/resolv.conf".into() }
    }
}

/// Looks up `localhost`, then the hosts file, then the name servers. Where none is configured nobody else is asked.
pub(super) struct Names {
    files: NameFiles,
    hosts: OnceLock<BTreeMap<String, Vec<IpAddr>>>,
    servers: OnceLock<Result<TokioResolver, String>>,
}

/// A name without an address.
#[derive(Debug)]
pub(super) struct NoAddress {
    host: String,
    reason: String,
    certain: bool,
}

impl NoAddress {
    pub(super) fn to_error(&self) -> NetError {
        NetError::Name { host: self.host.clone(), reason: self.reason.clone(), certain: self.certain }
    }
}

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_error(), f)
    }
}

impl std::error::Error for NoAddress {}

impl Names {
    pub(super) fn new(files: NameFiles) -> Arc<Self> {
        Arc::new(Names { files, hosts: OnceLock::new(), servers: OnceLock::new() })
    }

    fn hosts(&self) -> &BTreeMap<String, Vec<IpAddr>> {
        self.hosts.get_or_init(|| {
            let bytes = std::fs::read(&self.files.hosts).unwrap_or_default();
            read_hosts(&String::from_utf8_lossy(&bytes))
        })
    }

    /// Made at the first use: it belongs to the runtime, and most machines of a build need no name at all.
    fn servers(&self) -> &Result<TokioResolver, String> {
        self.servers.get_or_init(|| {
            let path = &self.files.resolv_conf;
            let shown = path.display();
            let bytes = std::fs::read(path).map_err(|error| format!("no name server is known: {shown}: {error}"))?;
            let (config, mut options) = hickory_resolver::system_conf::parse_resolv_conf(&bytes)
                .map_err(|error| format!("no name server is known: {shown}: {error}"))?;
            options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
            // The hosts file was asked before.
            options.use_hosts_file = hickory_resolver::config::ResolveHosts::Never;
            let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
            *builder.options_mut() = options;
            builder.build().map_err(|error| error.to_string())
        })
    }

    async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, NoAddress> {
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        if let Some(addresses) = self.hosts().get(&name) {
            return Ok(addresses.clone());
        }
        // RFC 6761, 6.3: never asked of a server.
        if name == "localhost" || name.ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let failed = |reason: String, certain| NoAddress { host: host.to_owned(), reason, certain };
        let servers = self.servers().as_ref().map_err(|reason| failed(reason.clone(), true))?;
        match servers.lookup_ip(host).await {
            Ok(found) => Ok(found.iter().collect()),
            Err(error) if error.is_no_records_found() && error.is_nx_domain() => {
                Err(failed("there is no such name".to_owned(), true))
            }
            Err(error) if error.is_no_records_found() => Err(failed("the name has no address".to_owned(), false)),
            Err(error) => Err(failed(error.to_string(), false)),
        }
    }
}

/// What [`Names`] is to the HTTP crate.
pub(super) struct Lookup(pub(super) Arc<Names>);

impl Resolve for Lookup {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.0.clone();
        Box::pin(async move {
            let found = names.lookup(name.as_str()).await?;
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// hosts(5): an address and its names on a line, `#` begins a comment.
fn read_hosts(text: &str) -> BTreeMap<String, Vec<IpAddr>> {
    let mut hosts: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or("").split_whitespace();
        // An address with a zone (`fe80::1%eth0`) is left out.
        let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
        for name in words {
            let addresses = hosts.entry(name.trim_end_matches('.').to_ascii_lowercase()).or_default();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_files_are_read() {
        let hosts = read_hosts(
            "127.0.0.1 localhost # here\n::1 localhost ip6\n\nfe80::1%eth0 x\n# 1.2.3.4 y\nbad z\n10.0.0.1\tR.Example.com.\r\n",
        );
        assert_eq!(hosts["localhost"], ["127.0.0.1".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
        assert_eq!(hosts["r.example.com"], ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(hosts.keys().collect::<Vec<_>>(), ["ip6", "localhost", "r.example.com"]);
    }

    #[test]
    fn a_machine_without_name_servers_asks_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let hosts = directory.path().join("hosts");
        std::fs::write(&hosts, "10.1.2.3 known\n").unwrap();
        let names = Names::new(NameFiles { hosts, resolv_conf: directory.path().join("absent") });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            assert_eq!(names.lookup("KNOWN").await.unwrap(), ["10.1.2.3".parse::<IpAddr>().unwrap()]);
            assert_eq!(names.lookup("localhost").await.unwrap()[0], Ipv4Addr::LOCALHOST);
            assert_eq!(names.lookup("a.localhost.").await.unwrap().len(), 2);
            let error = names.lookup("registry.example.com").await.unwrap_err().to_error();
            assert!(!error.is_temporary());
            let text = error.to_string();
            assert!(text.contains("registry.example.com") && text.contains("no name server"), "{text}");
        });
    }
}
