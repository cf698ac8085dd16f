//! Registries, mirrors, indexes, and the way to them.

use crate::code::Page;

pub(crate) const UNAUTHORIZED: Page = Page {
    title: "the server does not know who asks (401)",
    meaning: "The registry, mirror or index wants a login, and there was none, or it was not taken.",
    why: "Nobody logged in on this machine, the login is for another host name or port, or a token ran out.",
    remedy: "The message says which credentials were used, and where they were looked for. Log in, or name a file with \
             `--authfile`.",
    example: "$ podman login registry.example.com\n$ lapstrake build --push --authfile ~/.docker/config.json",
};

pub(crate) const DENIED: Page = Page {
    title: "the server knows who asks, and says no (403)",
    meaning: "The credentials are good and do not allow what was asked.",
    why: "A token that may only read, a repository of somebody else, or a proxy or firewall that answers in the server's place.",
    remedy: "Ask for the right to push to the repository in the message, or use other credentials.",
    example: "PUT https://registry.example.com/v2/shop/web/manifests/1 answered 403 Forbidden (user ci from ~/.docker/config.json)",
};

pub(crate) const NOT_FOUND: Page = Page {
    title: "the server does not have it (404)",
    meaning: "There is no such image, tag, repository or file there, or none that these credentials may see.",
    why: "A typo, a tag that was removed, a private repository without a login, or a registry that wants repositories to be \
          made first.",
    remedy: "Look at the address in the message; log in where the repository is private; make the repository first.",
    example: "$ lapstrake inspect registry.example.com/shop/web:1",
};

pub(crate) const TOO_MANY: Page = Page {
    title: "the server is asked too often (429)",
    meaning: "The registry limits how much one address or one account may ask in a time.",
    why: "Anonymous pulls share the limit of their address with everybody behind it.",
    remedy: "Log in, use a mirror (`--registry-mirror`), fewer `--jobs`, or wait.",
    example: "$ lapstrake build --registry-mirror docker.io=mirror.example.com --jobs 2",
};

pub(crate) const TOO_LARGE: Page = Page {
    title: "the request is too large for the server (413)",
    meaning: "The registry, or a proxy in front of it, limits how long one request may be.",
    why: "A reverse proxy with a small limit (nginx's `client_max_body_size`), or a plan of the host.",
    remedy: "Send blobs in parts with `--push-chunk MIB`, or raise the limit.",
    example: "$ lapstrake build --push --push-chunk 50",
};

pub(crate) const SERVER: Page = Page {
    title: "the server failed, or answered with what nobody expects",
    meaning: "The status is an error of the server (5xx), or one that has no meaning for what was asked. It was \
              asked several times (`--retry`), with longer and longer pauses.",
    why: "The registry is in trouble or being updated; often its disk is full. A proxy in between answers so where \
          it cannot reach the registry (502, 504).",
    remedy: "Try again later: blobs that arrived are not sent again. If it stays so, look at the \
             registry's own log, and at that of a proxy in front of it.",
    example: "POST https://registry.example.com/v2/shop/web/blobs/uploads/ answered 503 Service Unavailable (tried 8×)",
};

pub(crate) const NO_ADDRESS: Page = Page {
    title: "the host's name has no address",
    meaning: "The name servers do not know the host, or gave no answer.",
    why: "A typo in the repository or the base; no network, or a sandbox without one; a name that only the \
          company's network, a VPN or a proxy knows. Names are looked up in `/etc/hosts` and at the servers of \
          `/etc/resolv.conf`, not by the system's resolver: what mDNS or a directory service knows is not found.",
    remedy: "Look at the name in the message, and at those two files. Behind a proxy, set `HTTPS_PROXY`: names are \
             then left to it. What is on this machine and in the cache needs no network with `--offline`.",
    example: "$ getent hosts registry.example.com\n$ HTTPS_PROXY=http://proxy.example.com:3128 lapstrake build --push\n$ lapstrake build --offline",
};

pub(crate) const NO_CONNECTION: Page = Page {
    title: "no connection comes about",
    meaning: "The host has an address, and nothing takes the connection there.",
    why: "Nothing listens on that port (a registry that is not started yet), a firewall, or a proxy that is needed and not set.",
    remedy: "Look at host and port in the message; start the registry; set `HTTPS_PROXY`, or leave the host out with \
             `NO_PROXY`.",
    example: "$ curl -v https://registry.example.com/v2/",
};

pub(crate) const TLS: Page = Page {
    title: "the server's certificate is not trusted, or it does not speak TLS",
    meaning: "The connection is there, and it is not sure who is at the other end.",
    why: "A company's own authority (unknown issuer), a certificate that ran out or is for another name, or a registry that \
          speaks plain HTTP.",
    remedy: "Name the authority with `--registry-certificate REGISTRY=FILE`, `--cert-dir` or `SSL_CERT_FILE`. Where the registry \
             speaks plain HTTP, `--insecure-registry REGISTRY`.",
    example: "$ lapstrake build --push --registry-certificate registry.example.com=company.pem",
};

pub(crate) const NO_ROOTS: Page = Page {
    title: "this machine has no root certificates",
    meaning: "Without them no https server can be trusted.",
    why: "A minimal container without the package `ca-certificates`.",
    remedy: "Install `ca-certificates`, or name a bundle with `SSL_CERT_FILE`.",
    example: "$ SSL_CERT_FILE=/secrets/ca.pem lapstrake build --push",
};

pub(crate) const BROKEN: Page = Page {
    title: "the connection broke, or nothing came for too long",
    meaning: "The server took the request, and the answer ended too early or never came, each time it was tried.",
    why: "A network that loses packets, a proxy with a short time limit, or a server that is overloaded.",
    remedy: "Try again, with fewer `--jobs`, or with more patience: `--retry N`. `--push-chunk` makes requests shorter.",
    example: "$ lapstrake build --push --jobs 2 --push-chunk 20",
};

pub(crate) const NONSENSE: Page = Page {
    title: "the answer makes no sense",
    meaning: "What came is no HTTP, is far too long, or breaks the rules of the registry protocol.",
    why: "The port is one of another service, a login page stands in front, or the registry has a bug.",
    remedy: "Look at the address in the message with `curl -v`.",
    example: "$ curl -v https://registry.example.com/v2/",
};

pub(crate) const REDIRECT: Page = Page {
    title: "a redirect is not followed",
    meaning: "The server sends elsewhere, and following would be unsafe or has no end.",
    why: "A redirect from https to http, to an address without a host, or in a circle.",
    remedy: "Name the address that it should end at.",
    example: "index = \"https://index.example.com/simple\"    # not http://",
};

pub(crate) const PROXY: Page = Page {
    title: "the proxy cannot be used",
    meaning: "A variable names a proxy that is no URL, or one that does not let the request through.",
    why: "A typo, a scheme that is not known, or a proxy that wants a login.",
    remedy: "Mend `HTTP_PROXY` or `HTTPS_PROXY`, or name hosts that need none in `NO_PROXY`.",
    example: "$ HTTPS_PROXY=http://proxy.example.com:3128 NO_PROXY=registry.local lapstrake build",
};

pub(crate) const CERTIFICATE_FILE: Page = Page {
    title: "a certificate or key for a registry cannot be read",
    meaning: "A file of `--registry-certificate`, `--registry-client-cert`, `--cert-dir` or `SSL_CERT_FILE` is not there, or \
              holds no PEM.",
    why: "A wrong path, DER in place of PEM, or a key that is encrypted.",
    remedy: "Turn it into PEM, without a passphrase.",
    example: "$ openssl x509 -inform der -in company.crt -out company.pem",
};

pub(crate) const OFFLINE: Page = Page {
    title: "it is not on this machine, and the network may not be used",
    meaning: "`--offline` works with what the cache has, and something is missing in it.",
    why: "The cache is new or was pruned, or the lock moved since the last build with a network.",
    remedy: "Build (or `lapstrake lock`) once without `--offline`, with the same cache.",
    example: "$ lapstrake build && lapstrake build --offline",
};

pub(crate) const BLOB_ABSENT: Page = Page {
    title: "the registry does not have a part of the image",
    meaning: "A manifest names a blob that the registry does not give.",
    why: "The registry's clean-up removed it, or a mirror holds half of an image.",
    remedy: "Push the image again, or leave the mirror out.",
    example: "$ lapstrake inspect --validate registry.example.com/shop/web:1",
};

pub(crate) const WRONG_BYTES: Page = Page {
    title: "what came is not what is pinned",
    meaning: "The bytes have another digest or length than the one that was announced or locked. They were not used.",
    why: "A proxy that changes files, a file that was replaced under the same name, or somebody between here and there.",
    remedy: "Try another network or mirror. Where a download was replaced knowingly, mend its `sha256` and lock again.",
    example: "$ sha256sum tool-amd64.tar.gz",
};

pub(crate) const GONE: Page = Page {
    title: "what is locked is gone",
    meaning: "No mirror or index has the file that the lock names any more.",
    why: "Debian's mirrors keep the newest version only, and indexes let files be removed.",
    remedy: "Run `lapstrake lock --update NAME`, or name a snapshot (`LAPSTRAKE_DEBIAN_SNAPSHOT`) that still has it.",
    example: "$ LAPSTRAKE_DEBIAN_SNAPSHOT='https://snapshot.example.com/{archive}/{timestamp}/{path}' lapstrake build",
};

pub(crate) const TOKEN_SERVER: Page = Page {
    title: "the registry's token server is not asked",
    meaning: "The registry names a server for tokens that may not be given its credentials.",
    why: "It is reached over plain HTTP, or has no address that makes sense.",
    remedy: "Mend the registry's `realm`, so that it is https.",
    example: "auth:\n  token:\n    realm: https://registry.example.com/token",
};

pub(crate) const NOT_PUSHED: Page = Page {
    title: "the image cannot be pushed as it is",
    meaning: "What is to be sent does not fit together, or a part of it cannot be read.",
    why: "A layout of which blobs were removed or never copied, an image of one platform out of several, layers \
          that only exist elsewhere, as in the base's registry, and could not be fetched, or two images that would get \
          one tag.",
    remedy: "`lapstrake inspect --validate` names what is missing. Build it again, or copy it whole from where it \
             came from.",
    example: "$ lapstrake inspect --validate oci:lapstrake-out\n$ lapstrake copy registry.example.com/shop/web:1 oci:whole",
};

pub(crate) const INTERRUPTED: Page = Page {
    title: "interrupted",
    meaning: "The command was told to end, by Ctrl-C or a signal, and did. No tag was moved.",
    why: "Somebody pressed Ctrl-C, or the job ran out of time.",
    remedy: "Run it again: what was made or sent is found again.",
    example: "$ lapstrake build --push",
};

pub(crate) const ADDRESS: Page = Page {
    title: "this is no address",
    meaning: "A download, an index, a mirror or a registry is named by something that is no http or https address or host.",
    why: "The scheme is missing, or it is one that is not read (`ftp:`, `git:`).",
    remedy: "Write it in full, with `https://`; a registry as `HOST` or `HOST:PORT`, without a scheme.",
    example: "fetch = { url = \"https://example.com/tool.tar.gz\", sha256 = \"…\" }",
};

pub(crate) const UNREACHABLE: Page = Page {
    title: "an index or mirror gave no answer",
    meaning: "A program that was asked to resolve could not reach what it needed.",
    why: "No network, a proxy that is not set, or an index that is down.",
    remedy: "Look at the address in the message, and at `HTTPS_PROXY` and `NO_PROXY`.",
    example: "$ curl -v https://index.example.com/simple/",
};

pub(crate) const CREDENTIAL_FILE: Page = Page {
    title: "the file with credentials cannot be read",
    meaning: "A file of logins is not there, may not be read, or is not of the form that `docker login` writes.",
    why: "A wrong path after `--authfile` or `REGISTRY_AUTH_FILE`, or a secret of a pipeline that came out empty or twice \
          encoded.",
    remedy: "The message names the file. Log in again, or mend it; its text is never shown.",
    example: "{ \"auths\": { \"registry.example.com\": { \"auth\": \"…\" } } }",
};

pub(crate) const CREDENTIAL_HELPER: Page = Page {
    title: "a credential helper failed",
    meaning: "A file of logins says that a program, `docker-credential-NAME`, has the login, and it gave none.",
    why: "It is not installed here (a `config.json` of a desktop in a pipeline), is locked, or gave no answer in time.",
    remedy: "Install or unlock it, or use a file without `credsStore` and `credHelpers`. Of what it says only words are shown \
             that cannot be the login; to see all of it, ask it yourself.",
    example: "$ echo registry.example.com | docker-credential-pass get",
};
