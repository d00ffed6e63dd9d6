//! The network card, behind which QEMU makes the outside network, and the ports of this computer that
//! lead to virtual machines.

use crate::flash::Hardware;
use anyhow::{bail, ensure, Context, Result};
use disco_abi::{net_address, NET_GATEWAY, NET_NAME_SERVER, NET_PREFIX, NET_SUBNET};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// The first address that QEMU would give to whoever asked: behind those of the virtual machines.
const DYNAMIC: u64 = NET_SUBNET + 0x201;

fn address(number: u64) -> Ipv4Addr {
    Ipv4Addr::from_bits(number as u32)
}

/// The outside network as QEMU plays it.
fn outside() -> String {
    format!(
        "user,id=outside,net={}/{NET_PREFIX},host={},dns={},dhcpstart={},ipv6=off",
        address(NET_SUBNET),
        address(NET_GATEWAY),
        address(NET_NAME_SERVER),
        address(DYNAMIC)
    )
}

/// A TCP port of this computer, on 127.0.0.1, that leads to a port of a virtual machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The port here.
    pub host: u16,
    /// The virtual machine's name.
    pub vm: String,
    /// The port there.
    pub port: u16,
}

impl FromStr for Forward {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<_> = text.split(':').collect();
        let [host, vm, port] = parts[..] else {
            return Err("this is HOSTPORT:VM:PORT, such as 8080:alpha:80".to_owned());
        };
        let number = |text: &str| match text.parse() {
            Ok(port @ 1..) => Ok(port),
            _ => Err(format!("`{text}` is no port: a port is 1 to 65535")),
        };
        Ok(Self {
            host: number(host)?,
            vm: vm.to_owned(),
            port: number(port)?,
        })
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}:{}:{}", self.host, self.vm, self.port)
    }
}

/// QEMU's arguments for the card, if a virtual machine has use for it.
pub fn arguments(hardware: &Hardware, forwards: &[Forward]) -> Result<Vec<String>> {
    let vms: Vec<_> = hardware.vms.iter().map(|vm| (&*vm.name, vm.net)).collect();
    check(&vms, forwards)?;
    if !vms.iter().any(|(_, net)| *net) {
        return Ok(Vec::new());
    }
    let mut network = outside();
    for forward in forwards {
        let number = vms.iter().position(|(name, _)| *name == forward.vm);
        let number = number.context("no such virtual machine")?;
        let address = address(net_address(u64::try_from(number)?));
        let (host, port) = (forward.host, forward.port);
        network += &format!(",hostfwd=tcp:127.0.0.1:{host}-{address}:{port}");
    }
    let card = "virtio-net-pci,netdev=outside,disable-legacy=on,romfile=,addr=13";
    Ok(["-netdev", &network, "-device", card]
        .map(str::to_owned)
        .into())
}

/// Checks forwards for virtual machines with these names, which are on the network or not.
pub fn check(vms: &[(&str, bool)], forwards: &[Forward]) -> Result<()> {
    for (index, forward) in forwards.iter().enumerate() {
        let Some((name, net)) = vms.iter().find(|(name, _)| *name == forward.vm) else {
            let names: Vec<_> = vms.iter().map(|(name, _)| *name).collect();
            bail!(
                "--forward {forward}: there is no virtual machine `{}`, only: {}",
                forward.vm,
                names.join(", ")
            );
        };
        ensure!(
            *net,
            "--forward {forward}: `{name}` is not on the network: say net = true in its [[vm]]"
        );
        let mut others = forwards[..index].iter();
        ensure!(
            !others.any(|other| other.host == forward.host),
            "--forward {forward}: port {} of this computer is forwarded already: take another",
            forward.host
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{arguments, Forward};
    use crate::flash::{Hardware, VmFacts};

    fn hardware() -> Hardware {
        let vm = |name: &str, net| VmFacts {
            name: name.to_owned(),
            linux: true,
            started: true,
            net,
        };
        Hardware {
            vms: vec![vm("a", false), vm("b", true)],
            ..Hardware::FALLBACK
        }
    }

    fn forwarded(texts: &[&str]) -> Result<String, String> {
        let forwards: Result<Vec<Forward>, String> =
            texts.iter().map(|text| text.parse()).collect();
        arguments(&hardware(), &forwards?)
            .map(|arguments| arguments.join(" "))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn ports_lead_to_the_virtual_machines_address() {
        let arguments = forwarded(&["8080:b:80", "8081:b:22"]).unwrap();
        assert!(arguments.contains(
            ",hostfwd=tcp:127.0.0.1:8080-10.97.1.2:80,hostfwd=tcp:127.0.0.1:8081-10.97.1.2:22 -device virtio-net-pci"
        ));
        assert!(!forwarded(&[]).unwrap().contains("hostfwd"));
    }

    #[test]
    fn a_machine_without_a_network_has_no_card() {
        assert!(arguments(&Hardware::FALLBACK, &[]).unwrap().is_empty());
    }

    #[test]
    fn wrong_forwards_are_refused() {
        for (text, why) in [
            ("8080", "HOSTPORT:VM:PORT"),
            ("8080:b:80:1", "HOSTPORT:VM:PORT"),
            ("0:b:80", "`0` is no port"),
            ("8080:b:65536", "`65536` is no port"),
            ("8080:b:", "`` is no port"),
            ("8080:c:80", "no virtual machine `c`, only: a, b"),
            ("8080:a:80", "net = true"),
        ] {
            let error = forwarded(&[text]).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        let error = forwarded(&["8080:b:80", "8080:b:81"]).unwrap_err();
        assert!(error.contains("take another"), "{error}");
    }
}
