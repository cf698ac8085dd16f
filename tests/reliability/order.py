"""The order in which files reach the disk: synced before they get their names, the names synced after."""

import os.path

# What is not synced, since half of it is found out when it is read (src/store/chunks.rs, src/store/file_hashes.rs).
FOUND_OUT = ("/chunks-v1/", "/files-v1/")


def renames(shop, scenarios, tell=print):
    """Looks at all renames of all scenarios, as the kernel sees them."""
    total, wrong = 0, []
    for scenario in scenarios:
        work = shop.copy(scenario, "order")
        log = shop.directory / "order.calls"
        run = shop.run(work, scenario.arguments, ["-c", "mdwsn", "-l", log])
        assert run.code == 0, run.err
        count, findings = look([line.split("\t") for line in log.read_text().splitlines()])
        total += count
        for finding in findings:
            wrong.append(f"{scenario.name}: {finding}".replace(str(work), ""))
            tell(wrong[-1])
    return {"renames": total, "wrong": wrong}


def look(calls):
    """Gives how many renames there are, and what is wrong with any."""
    count, wrong = 0, []
    dirty, names = set(), {}
    for _, kind, name, path, old in calls:
        path, old = os.path.normpath(path), os.path.normpath(old)
        if kind == "w":
            dirty.add(path)
        elif name in ("fsync", "fdatasync"):
            # fdatasync brings the length along, which is all that a new file needs.
            dirty.discard(path)
            names.pop(path, None)
        elif name == "syncfs":
            dirty.clear()
        elif name.startswith("rename"):
            if any(bucket in path for bucket in FOUND_OUT):
                dirty.discard(old)
                continue
            count += 1
            if old in dirty:
                wrong.append(f"{path} got its name before its bytes were on the disk")
            if os.path.basename(path) == "index.json":
                below = [directory for directory in names if directory.startswith(os.path.dirname(path))]
                wrong += [f"{path} got its name before those in {directory} were on the disk" for directory in below]
            names[os.path.dirname(path)] = path
    wrong += [f"the name of {path} was never brought to the disk" for path in names.values()]
    return count, wrong
