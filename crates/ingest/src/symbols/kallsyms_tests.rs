//! What the list of kernel symbols gives, and what it is not trusted with.

use super::*;

const LIST: &[u8] = b"\
0000000000000000 A fixed_percpu_data
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000000 T __pi__text
ffffffff81000100 T entry_SYSCALL_64_after_hwframe
ffffffff81001000 T __pfx___x64_sys_fork
ffffffff81001010 t __do_sys_fork
ffffffff81001010 T __ia32_sys_fork
ffffffff81001010 T __x64_sys_fork
ffffffff81002000 T __softirqentry_text_start
ffffffff81002000 T __do_softirq
ffffffff81003000 T _etext
ffffffff82000000 D init_task
ffffffffc0201000 t ext4_sync_file\t[ext4]
ffffffffc0202000 t bpf_prog_6deef7357e7b4530_sd_fw_egress\t[bpf]
";

fn table(list: &[u8]) -> KernelTable {
    Kallsyms::parse(list.to_vec()).unwrap().into_table()
}

fn name(table: &KernelTable, address: u64) -> Option<&str> {
    table.function(address).map(|function| function.name)
}

#[test]
fn an_address_has_the_name_of_the_symbol_before_it() {
    let table = table(LIST);
    assert_eq!(name(&table, 0xffff_ffff_8100_0130), Some("entry_SYSCALL_64_after_hwframe"));
    let ext4 = table.function(0xffff_ffff_c020_1800).unwrap();
    assert_eq!(ext4, KernelFunction { name: "ext4_sync_file", module: Some("ext4") });
    let bpf = table.function(0xffff_ffff_c020_2010).unwrap();
    assert_eq!(bpf.module, Some("bpf"));
}

#[test]
fn of_several_names_the_one_that_people_know_is_chosen() {
    let table = table(LIST);
    assert_eq!(name(&table, 0xffff_ffff_8100_1020), Some("__x64_sys_fork"));
    assert_eq!(name(&table, 0xffff_ffff_8100_2020), Some("__do_softirq"));
}

#[test]
fn a_return_address_at_the_end_of_a_function_belongs_to_it() {
    let table = table(LIST);
    let end = 0xffff_ffff_8100_1000;
    assert_eq!(name(&table, end), Some("entry_SYSCALL_64_after_hwframe"), "padding is no code");
    assert_eq!(
        name(&table, 0xffff_ffff_8100_2000),
        Some("__do_softirq"),
        "interrupted at its start"
    );
}

#[test]
fn addresses_outside_the_list_have_no_name() {
    let table = table(LIST);
    for address in
        [0, 1, 0x1000, 0xffff_ffff_80ff_ffff, 0xffff_ffff_8200_0010, 0xffff_ffff_9000_0000]
    {
        assert_eq!(name(&table, address), None, "{address:#x}");
    }
    assert_eq!(name(&table, 0xffff_ffff_c020_5000), None, "behind the last");
    assert_eq!(name(&table, u64::MAX), None);
}

#[test]
fn another_boot_moves_the_image_and_loses_the_modules() {
    let mut symbols = Kallsyms::parse(LIST.to_vec()).unwrap();
    let slide = symbols.relocate("_text", 0xffff_ffff_9b00_0000, 2 << 20).unwrap();
    assert_eq!(slide, 0x1a00_0000);
    let table = symbols.into_table();
    assert_eq!(name(&table, 0xffff_ffff_9b00_1020), Some("__x64_sys_fork"));
    assert_eq!(name(&table, 0xffff_ffff_c020_1800), None);
    assert_eq!(name(&table, 0xffff_ffff_da20_1800), None);
}

#[test]
fn a_slide_downwards_is_one_too() {
    let mut symbols =
        Kallsyms::parse(b"ffffffff9b000000 T _text\nffffffff9b000100 T f\n".to_vec()).unwrap();
    symbols.relocate("_text", 0xffff_ffff_8100_0000, 2 << 20).unwrap();
    assert_eq!(name(&symbols.into_table(), 0xffff_ffff_8100_0110), Some("f"));
}

#[test]
fn an_odd_slide_is_another_kernel() {
    let mut symbols = Kallsyms::parse(LIST.to_vec()).unwrap();
    let error = symbols.relocate("_text", 0xffff_ffff_8100_1234, 4096).unwrap_err();
    assert!(error.to_string().contains("another kernel's"), "{error}");
}

#[test]
fn the_same_boot_keeps_everything() {
    let mut symbols = Kallsyms::parse(LIST.to_vec()).unwrap();
    assert_eq!(symbols.relocate("_text", 0xffff_ffff_8100_0000, 4096), Ok(0));
    assert_eq!(name(&symbols.into_table(), 0xffff_ffff_c020_1800), Some("ext4_sync_file"));
}

#[test]
fn hidden_addresses_are_recognised() {
    let hidden = b"0000000000000000 T _text\n0000000000000000 T schedule\n";
    assert_eq!(Kallsyms::parse(hidden.to_vec()).err(), Some(KallsymsError::AllZero));
    let mixed = b"0000000000000000 T _text\nffffffffc0000000 t f [m]\n";
    let mut symbols = Kallsyms::parse(mixed.to_vec()).unwrap();
    assert_eq!(symbols.relocate("_text", 0xffff_ffff_8100_0000, 4096), Err(KallsymsError::AllZero));
}

#[test]
fn other_files_are_not_taken_for_a_list() {
    for bytes in
        [&b""[..], b"\n\n", b"hello world\n", b"\x7fELF\x02\x01\x01\0", b"0 T\n", b"xyz T name\n"]
    {
        assert_eq!(Kallsyms::parse(bytes.to_vec()).err(), Some(KallsymsError::NoSymbols));
    }
}

#[test]
fn damaged_lines_are_passed_over() {
    let list =
        b"ffffffff81000000 T a\n\xff\xfe\0garbage\nffffffff8100zz00 T b\nffffffff81000100 T c\r\n";
    let table = table(list);
    assert_eq!(name(&table, 0xffff_ffff_8100_0080), Some("a"));
    assert_eq!(name(&table, 0xffff_ffff_8100_0180), Some("c"));
}
