//! Addresses of AWS's partitions: the commercial one, China, and the separate clouds.

/// Prefixes of a region's name and the DNS suffix of their partition. Other regions have `amazonaws.com`.
/// Source: <https://github.com/boto/botocore/blob/develop/botocore/data/partitions.json>.
const SUFFIXES: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
];

/// The end of the host names of AWS's services in a region.
pub fn dns_suffix(region: &str) -> &'static str {
    let found = SUFFIXES.iter().find(|(prefix, _)| region.starts_with(prefix));
    found.map_or("amazonaws.com", |(_, suffix)| suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_region_of_botocore_has_the_suffix_of_its_partition() {
        let partitions = [
            (
                "amazonaws.com",
                "af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 \
                 ap-south-2 ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 \
                 ap-southeast-6 ap-southeast-7 ca-central-1 ca-west-1 eu-central-1 eu-central-2 eu-north-1 \
                 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3 il-central-1 me-central-1 me-south-1 \
                 me-west-1 mx-central-1 sa-east-1 sa-west-1 us-east-1 us-east-2 us-west-1 us-west-2",
            ),
            ("amazonaws.com.cn", "cn-north-1 cn-northwest-1"),
            ("amazonaws.eu", "eusc-de-east-1"),
            ("c2s.ic.gov", "us-iso-east-1 us-iso-west-1"),
            ("sc2s.sgov.gov", "us-isob-east-1 us-isob-west-1"),
            ("cloud.adc-e.uk", "eu-isoe-west-1"),
            ("csp.hci.ic.gov", "us-isof-east-1 us-isof-south-1"),
            ("amazonaws.com", "us-gov-east-1 us-gov-west-1"),
        ];
        for (suffix, regions) in partitions {
            for region in regions.split(' ') {
                assert_eq!(dns_suffix(region), suffix, "{region}");
            }
        }
    }
}
