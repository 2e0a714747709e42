//! The hosts of Genesys Cloud by region. The list is from `PureCloudRegionHosts` in Genesys's SDKs.

use url::Url;

/// The two base URLs for the calls of an org: those of its region, or those of an emulator or of a
/// private gateway.
///
/// ```
/// use genesys::Hosts;
///
/// let hosts = Hosts::of_region("mypurecloud.de").expect("the region is known");
/// assert_eq!(hosts.api.as_str(), "https://api.mypurecloud.de/");
/// assert_eq!(hosts.login.as_str(), "https://login.mypurecloud.de/");
/// assert_eq!(Hosts::of_region("eu-central-1"), Some(hosts));
/// assert_eq!(Hosts::of_region("example.com"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// The base URL of the API, such as `https://api.mypurecloud.com`.
    pub api: Url,
    /// The base URL of the token endpoint, such as `https://login.mypurecloud.com`.
    pub login: Url,
}

impl Hosts {
    /// The hosts of a region, by its domain (`mypurecloud.com`), the host of its API
    /// (`api.mypurecloud.com`) or its AWS name (`us-east-1`). Returns `None` if the region is
    /// unknown.
    pub fn of_region(domain: &str) -> Option<Self> {
        let domain = domain.trim().to_ascii_lowercase();
        let domain = domain.strip_prefix("api.").unwrap_or(&domain);
        let region =
            REGIONS.iter().find(|region| region.domain == domain || region.aws_region == domain)?;
        let base = |host| Url::parse(&format!("https://{host}.{}", region.domain)).ok();
        Some(Self { api: base("api")?, login: base("login")? })
    }
}

/// A region of Genesys Cloud.
///
/// ```
/// use genesys::region::REGIONS;
///
/// let frankfurt = REGIONS.iter().find(|region| region.aws_region == "eu-central-1");
/// assert_eq!(frankfurt.map(|region| region.domain), Some("mypurecloud.de"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The region's name at AWS, such as `us-east-1`.
    pub aws_region: &'static str,
    /// The domain of Genesys's hosts in the region, such as `mypurecloud.com`.
    pub domain: &'static str,
}

/// Every region in Genesys's SDKs.
pub const REGIONS: [Region; 18] = [
    region("us-east-1", "mypurecloud.com"),
    region("us-east-2", "use2.us-gov-pure.cloud"),
    region("us-west-2", "usw2.pure.cloud"),
    region("ca-central-1", "cac1.pure.cloud"),
    region("sa-east-1", "sae1.pure.cloud"),
    region("mx-central-1", "mxc1.pure.cloud"),
    region("eu-west-1", "mypurecloud.ie"),
    region("eu-west-2", "euw2.pure.cloud"),
    region("eu-central-1", "mypurecloud.de"),
    region("eu-central-2", "euc2.pure.cloud"),
    region("eusc-de-east-1", "edee1.eusc-pure.cloud"),
    region("me-central-1", "mec1.pure.cloud"),
    region("ap-south-1", "aps1.pure.cloud"),
    region("ap-southeast-1", "apse1.pure.cloud"),
    region("ap-southeast-2", "mypurecloud.com.au"),
    region("ap-northeast-1", "mypurecloud.jp"),
    region("ap-northeast-2", "apne2.pure.cloud"),
    region("ap-northeast-3", "apne3.pure.cloud"),
];

const fn region(aws_region: &'static str, domain: &'static str) -> Region {
    Region { aws_region, domain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_the_reference() {
        let reference: Vec<serde_json::Value> =
            serde_json::from_str(include_str!("../regions.json")).unwrap();
        assert_eq!(reference.len(), REGIONS.len());
        for entry in reference {
            let text = |key: &str| entry[key].as_str().unwrap();
            let hosts = Hosts::of_region(text("domain")).unwrap();
            assert_eq!(Some(&hosts), Hosts::of_region(text("aws_region")).as_ref());
            assert_eq!(hosts.api, Url::parse(text("api")).unwrap());
            assert_eq!(hosts.login, Url::parse(text("login")).unwrap());
        }
        assert_eq!(Hosts::of_region("example.com"), None);
        assert!(Hosts::of_region(" API.MyPureCloud.de").is_some());
    }
}
