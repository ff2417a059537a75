//! The domain of a region's services, where no SDK makes the address.

/// Source: partitions.json of botocore.
#[must_use]
pub fn domain_suffix(region: &str) -> &'static str {
    match region.split('-').next().unwrap_or_default() {
        "cn" => "amazonaws.com.cn",
        "eusc" => "amazonaws.eu",
        _ => "amazonaws.com",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_own_domain() {
        for (region, suffix) in [
            ("us-east-1", "amazonaws.com"),
            ("eu-central-1", "amazonaws.com"),
            ("us-gov-west-1", "amazonaws.com"),
            ("cn-north-1", "amazonaws.com.cn"),
            ("cn-northwest-1", "amazonaws.com.cn"),
            ("eusc-de-east-1", "amazonaws.eu"),
        ] {
            assert_eq!(domain_suffix(region), suffix, "{region}");
        }
    }
}
