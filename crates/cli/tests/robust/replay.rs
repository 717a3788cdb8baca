//! The fuzz targets on their seeds, on cuts of them, and on everything that ever made them fail.

use std::fs;

use crate::root;
use crate::seeds::seeds;
use crate::targets::{TARGETS, run};

#[test]
fn every_target_has_seeds_and_takes_them() {
    let seeds = seeds(&root());
    for (name, target) in TARGETS {
        let own: Vec<_> = seeds.iter().filter(|(target, _)| target == name).collect();
        assert!(!own.is_empty(), "{name} has no seed");
        for (_, seed) in own {
            target(seed);
            target(&seed[..seed.len() * 2 / 3]);
        }
    }
}

#[test]
fn what_was_found_once_is_not_found_again() {
    for folder in fs::read_dir(root().join("fuzz/found")).unwrap() {
        let folder = folder.unwrap();
        let target = folder.file_name().into_string().unwrap();
        for file in fs::read_dir(folder.path()).unwrap() {
            run(&target, &fs::read(file.unwrap().path()).unwrap());
        }
    }
}

/// `COLDCASE_SEEDS=FOLDER cargo test -p coldcase-cli --test robust seeds` writes them for cargo-fuzz.
#[test]
fn seeds_are_written_where_asked() {
    let Some(folder) = std::env::var_os("COLDCASE_SEEDS") else { return };
    for (number, (target, seed)) in seeds(&root()).into_iter().enumerate() {
        let folder = root().join(&folder).join(target);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
    }
}
