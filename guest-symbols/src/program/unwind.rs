//! Where functions begin and end, as the tables for unwinding say, which no program is stripped of.

use gimli::{BaseAddresses, CieOrFde, EhFrame, LittleEndian, UnwindSection};
use goblin::elf::Elf;
use goblin::elf::program_header::PT_GNU_EH_FRAME;

use crate::bytes::index;

/// First and last address of each function and of each part that was moved elsewhere, by address.
pub(super) fn functions(file: &[u8], elf: &Elf<'_>) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    let Some((addr, bytes)) = section(file, elf) else {
        return found;
    };
    let frames = EhFrame::new(bytes, LittleEndian);
    let bases = BaseAddresses::default().set_eh_frame(addr);
    let mut entries = frames.entries(&bases);
    // What is malformed ends the list.
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else {
            continue;
        };
        let Ok(function) = partial.parse(EhFrame::cie_from_offset) else {
            continue;
        };
        let start = function.initial_address();
        let end = start.saturating_add(function.len());
        if start > 0 && start < end {
            found.push((start, end));
        }
    }
    found.sort_unstable();
    found.dedup_by_key(|(start, _)| *start);
    found
}

/// The table, by its section or, where the sections were taken away too, by what leads to it.
fn section<'a>(file: &'a [u8], elf: &Elf<'_>) -> Option<(u64, &'a [u8])> {
    let named = elf
        .section_headers
        .iter()
        .find(|section| elf.shdr_strtab.get_at(section.sh_name) == Some(".eh_frame"));
    if let Some(section) = named {
        return Some((section.sh_addr, file.get(section.file_range()?)?));
    }
    let headers = &elf.program_headers;
    let header = headers.iter().find(|it| it.p_type == PT_GNU_EH_FRAME)?;
    let table = file.get(header.file_range())?;
    // Version 1, a distance of 4 bytes (DW_EH_PE_pcrel | DW_EH_PE_sdata4) from its own place.
    let [1, 0x1b, _, _, rest @ ..] = table else {
        return None;
    };
    let distance = i32::from_le_bytes(*rest.first_chunk()?);
    let addr = header
        .p_vaddr
        .checked_add(4)?
        .checked_add_signed(distance.into())?;
    let holder = headers.iter().find(|it| {
        it.p_type == goblin::elf::program_header::PT_LOAD && it.vm_range().contains(&index_of(addr))
    })?;
    let start = addr
        .checked_sub(holder.p_vaddr)?
        .checked_add(holder.p_offset)?;
    let end = holder.p_offset.checked_add(holder.p_filesz)?;
    Some((addr, file.get(index_of(start)..index_of(end))?))
}

fn index_of(value: u64) -> usize {
    u32::try_from(value).map_or_else(|_| usize::try_from(value).unwrap_or(usize::MAX), index)
}
