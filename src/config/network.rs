//! [`Network`]: an address, or all that begin alike.

use std::fmt;
use std::net::IpAddr;

use super::walk::{Wrong, quoted};

/// `10.0.0.0/8`, `::1`. What is written as IPv4 inside IPv6 counts as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

impl Network {
    pub fn read(text: &str) -> Result<Network, Wrong> {
        const HINT: &str = "Write an address, \"127.0.0.1\", or a network, \"10.0.0.0/8\".";
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address = address
            .parse::<IpAddr>()
            .map_err(|_| Wrong::new(format!("{} is neither an address nor a network", quoted(text)), HINT))?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits.map(str::parse::<u8>) {
            None => most,
            Some(Ok(bits)) if bits <= most => bits,
            Some(_) => {
                let message = format!("the part behind the \"/\" must be a number up to {most}");
                return Err(Wrong::new(message, HINT));
            }
        };
        let first = cut(address, bits);
        if first != address {
            let hint = format!("Write \"{first}/{bits}\".");
            return Err(Wrong::new(format!("{address} is not where a network of {bits} bits begins"), hint));
        }
        Ok(Network { first, bits })
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && cut(address, self.bits) == self.first
    }
}

/// The address with only its first `bits`.
fn cut(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_that_begin_alike() {
        let check = |network: &str, address: &str, expect: bool| {
            let network = Network::read(network).unwrap_or_else(|w| panic!("{network}: {}", w.message));
            assert_eq!(network.contains(address.parse().unwrap()), expect, "{network} {address}");
        };
        check("127.0.0.1", "127.0.0.1", true);
        check("127.0.0.1", "127.0.0.2", false);
        check("127.0.0.1", "::ffff:127.0.0.1", true);
        check("10.0.0.0/8", "10.255.1.2", true);
        check("10.0.0.0/8", "11.0.0.0", false);
        check("0.0.0.0/0", "203.0.113.9", true);
        check("0.0.0.0/0", "::1", false);
        check("::1", "::1", true);
        check("2001:db8::/32", "2001:db8:ffff::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        check("::/0", "2001:db8::1", true);
        check("::/0", "192.0.2.1", false);
    }

    #[test]
    fn what_is_no_network_is_said() {
        for wrong in
            ["", "localhost", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "10.1.0.0/8", "::1/129", "::1/64", "1.2.3"]
        {
            assert!(Network::read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Network::read("10.1.0.0/8").unwrap_err().hint, "Write \"10.0.0.0/8\".");
    }
}
