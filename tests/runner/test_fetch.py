"""vagus data fetch against a server of this machine: whole, resumed, interrupted, and every way in which it goes wrong."""
import hashlib
import json
import os
import pty
import resource
import select
import signal
import socket
import subprocess
import time

from program import Folder, SANITIZED, VAGUS, read, run, write
from recordings import edf, wfdb
from web import Web

SET = "/eegmat/1.0.0/"
for name in [name for name in os.environ if name.lower().endswith("_proxy")] + ["VAGUS_MIRROR"]:
    os.environ.pop(name, None)
os.environ["no_proxy"] = "127.0.0.1,localhost"

# Rest and task of three people; one name that an address has to spell otherwise; and a file that nobody wants.
FILES = {f"Subject0{s}_{t}.edf": edf(seconds=12, bpm=60 + 5 * s + 20 * t, seed=2 * s + t) for s in range(3) for t in (1, 2)}
FILES["Subject 9%_1.edf"] = edf(seconds=12, seed=99)
FILES["notes.txt"] = b"not wanted\n"
WANTED = sorted(name for name in FILES if name.endswith(".edf"))
FIRST = WANTED[-1]


def sums(files=FILES):
    return "".join(f"{hashlib.sha256(body).hexdigest()} {name}\n" for name, body in files.items()).encode()


def serve(web, files=FILES):
    web.forget()
    web.files = {SET + name: body for name, body in files.items()}
    web.files[SET + "SHA256SUMS.txt"] = sums(files)


def words(web, folder, *more):
    url = web.url if isinstance(web, Web) else web
    return ["data", "fetch", "eegmat", "--to", folder, "--mirror", url, "--pause", "0.05", *more]


def fetch(web, folder, *more, **options):
    return run(*words(web, folder, *more), both=True, timeout=60, **options)


def same(folder, names=WANTED):
    for name in names:
        assert read(f"{folder}/{name}") == FILES[name], name
    left = [name for name in os.listdir(folder) if name.endswith(".part")]
    assert not left, left
    assert not os.path.exists(folder + "/notes.txt")


def nothing_imported(folder):
    left = [name for name in os.listdir(".") if name.startswith(folder + ".h5")]
    assert not left, left


def whole(web):
    serve(web)
    fetch(web, "a", says=["7/7 files", "7 files fetched", "all have their checksums", "workload, not emotion", "Zyma"])
    same("a")
    told = run("data", "info", "a.h5", says=["Open Data Commons Attribution", "Zyma", "eegmat", "0.8-40 Hz"])
    assert "task: 0 in 4 recordings, 1 in 3 recordings" in told, told
    assert web.count() == 8 and web.count("notes.txt") == 0, web.asked
    # A store that is there is not replaced, and the network not asked before that is said.
    web.forget()
    fetch(web, "a", expect=2, says="--overwrite")
    fetch(web, "a", "--overwrite", says="0 files fetched (0.0 MB), 7 were there")
    fetch(web, "a", "--no-import", says="To import it: vagus data fetch eegmat --from a")
    assert web.count() == 0, web.asked
    # A file that has changed since is fetched anew; options of the command line go before the catalogue's.
    write("a/" + FIRST, "spoilt")
    fetch(web, "a", "--out", "other.h5", "--high", "30", says=["has not the published checksum", "1 files fetched"])
    same("a")
    run("data", "info", "other.h5", says="0.8-30 Hz")
    run("data", "fetch", "eegmat", "--from", "a", "--out", "from.h5", says="7 recordings")
    run("data", "fetch", "eegmat", "--from", "nowhere", expect=1, says="nowhere is no folder")


def part_of_it(web):
    serve(web)
    fetch(web, "p", "--only", "Subject00* Subject01_2*", "--at-once", "1", says="3 files fetched")
    assert sorted(name for name in os.listdir("p") if name.endswith(".edf")) == ["Subject00_1.edf", "Subject00_2.edf",
                                                                               "Subject01_2.edf"]
    fetch(web, "q", "--only", "Other*", expect=1, says="none of them is")


def resumed(web):
    """Cut three times in the middle, a server error or two, a redirect: no byte is asked for twice."""
    serve(web)
    size, path = len(FILES[FIRST]), SET + FIRST
    web.bad[path] = [("cut", 1000), ("status", 503), ("cut", 500), ("status", 500), ("cut", 0), ("cut", 700)]
    web.bad[SET + WANTED[1]] = [("redirect", web.url + "/else/where")]
    web.bad[SET + WANTED[2]] = [("status", 500), ("status", 429, 1)]
    web.files["/else/where"] = FILES[WANTED[1]]
    fetch(web, "r", says=["7 files fetched", "again in 0.05 s", "again in 1 s"])
    same("r")
    ranges = [wanted for asked, wanted in web.asked if asked == path]
    assert ranges == [None] + ["bytes=1000-"] * 2 + ["bytes=1500-"] * 3 + ["bytes=2200-"], ranges
    assert web.sent[path] == size, (web.sent[path], size)
    # What an earlier process left: half, half of something else, more than there is, all of it.
    for left, asked, more in ((FILES[FIRST][:5000], ["bytes=5000-"], []),
                              (b"x" * 5000, ["bytes=5000-", None], []),
                              (FILES[FIRST] + b"x", [f"bytes={size + 1}-", None], []),
                              (FILES[FIRST], [], []),
                              (FILES[FIRST][:5000], ["bytes=5000-"], ["whole"])):
        web.forget()
        os.remove("r/" + FIRST)
        with open(f"r/{FIRST}.part", "wb") as file:
            file.write(left)
        web.bad[path] = more
        fetch(web, "r", "--no-import", says="1 files fetched")
        same("r")
        assert [wanted for place, wanted in web.asked if place == path] == asked, web.asked


def silent(web):
    serve(web)
    web.bad[SET + FIRST] = [("hang", 3000)]
    began = time.time()
    fetch(web, "s", "--silence", "1", says=["7 files fetched", "nothing came for 1 s"])
    assert time.time() - began < 15
    same("s")
    assert (SET + FIRST, "bytes=3000-") in web.asked, web.asked


def wrong(web):
    serve(web)
    web.files[SET + FIRST] = FILES[FIRST][:-1] + b"?"
    fetch(web, "w", expect=1, says=["wrong checksum twice", FIRST, hashlib.sha256(FILES[FIRST]).hexdigest()])
    nothing_imported("w")
    assert web.count(FIRST) == 2 and not os.path.exists("w/" + FIRST)
    same("w", [name for name in WANTED if name != FIRST])  # the others came all the same
    # A server that lost a file, two of them, and one that is not asked again and again for it.
    del web.files[SET + FIRST], web.files[SET + WANTED[1]]
    fetch(web, "w", expect=1, says="is not there")
    os.remove("w/" + WANTED[1])
    web.forget()
    fetch(web, "w", expect=1, says=["is not there", "404", "and 1 more of 7 files failed"])
    assert web.count() == 2
    nothing_imported("w")
    # An error that does not pass ends after so many attempts.
    serve(web)
    web.bad[SET + FIRST] = [("status", 500)] * 9
    fetch(web, "w", "--attempts", "3", expect=1, says=["500", "again and again", "fetch again later"])
    assert web.count(FIRST) == 3
    nothing_imported("w")
    web.bad.clear()
    fetch(web, "w", says="1 files fetched")
    same("w")


def lists(web):
    """Lists that are none, lead out of the folder, or name a file twice."""
    good = sums()
    for number, (text, says) in enumerate([(b"<html>please log in</html>", "login page"),
                                           (good.replace(b" notes.txt", b" ../notes.txt"), "line 8"),
                                           (good.replace(b" notes.txt", b" /etc/notes.txt"), "line 8"),
                                           (good.replace(b" notes.txt", b" a/./notes.txt"), "line 8"),
                                           (good.replace(b" notes.txt", b""), "line 8"),
                                           (good + good, "twice"),
                                           (b"", "lists 0 files")]):
        serve(web)
        web.files[SET + "SHA256SUMS.txt"] = text
        fetch(web, f"l{number}", expect=1, says=says)
        nothing_imported(f"l{number}")
        assert web.count() == 1
    serve(web)
    del web.files[SET + "SHA256SUMS.txt"]
    fetch(web, "l", expect=1, says=["SHA256SUMS.txt is not there", "404"])


def offline(web):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
        began = time.time()
        fetch(nobody, "o", expect=1, says=["cannot be reached", "offline", "--from FOLDER"])
    assert time.time() - began < 10
    nothing_imported("o")
    fetch("ftp://127.0.0.1/", "o", expect=1, says="ftp")


def mirrors(web):
    serve(web)
    run("data", "fetch", "eegmat", "--to", "m", env=dict(os.environ, VAGUS_MIRROR=web.url + "/"), says="7 recordings")
    same("m")
    os.makedirs("disk/eegmat/1.0.0")
    for name, body in [*FILES.items(), ("SHA256SUMS.txt", sums())]:
        with open("disk/eegmat/1.0.0/" + name, "wb") as file:
            file.write(body)
    fetch("file://" + os.path.abspath("disk"), "n", says="7 files fetched")
    same("n")
    # A proxy, as libcurl's variables name it.
    web.forget()
    proxied = {name: value for name, value in os.environ.items() if name != "no_proxy"}
    run("data", "fetch", "eegmat", "--to", "x", "--mirror", "http://data.invalid", env=dict(proxied, http_proxy=web.url),
        says="7 recordings")
    same("x")
    assert web.count() == 8


def interrupted(web):
    """Ctrl-C and SIGTERM in the middle of a file: exit 75, and the next call goes on at the very byte."""
    for number, how in enumerate((signal.SIGINT, signal.SIGTERM)):
        serve(web)
        folder, part = f"i{number}", f"i{number}/{FIRST}.part"
        web.bad[SET + FIRST] = [("trickle", 400)]
        process = subprocess.Popen([VAGUS, *words(web, folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            end = time.time() + 30
            while not (os.path.exists(part) and os.path.getsize(part) > 800) and time.time() < end:
                time.sleep(0.02)
            second = run(*words(web, folder), expect=1, both=True)
            assert "another process fetches" in second, second
            process.send_signal(how)
            out, told = process.communicate(timeout=30)
        finally:
            process.kill()
        assert process.returncode == 75 and "the same command goes on" in told, (process.returncode, told)
        nothing_imported(folder)
        size = os.path.getsize(part)
        assert 800 < size < len(FILES[FIRST]) and read(part) == FILES[FIRST][:size]
        web.forget()
        fetch(web, folder, says="7 recordings")
        same(folder)
        assert (SET + FIRST, f"bytes={size}-") in web.asked, web.asked


def terminal(web):
    """One live line on a terminal, plain lines elsewhere."""
    serve(web)
    web.bad[SET + FIRST] = [("trickle", 600)]
    master, slave = pty.openpty()
    process = subprocess.Popen([VAGUS, *words(web, "t")], stdout=subprocess.DEVNULL, stderr=slave)
    os.close(slave)
    told = b""
    try:
        while process.poll() is None or select.select([master], [], [], 0.2)[0]:
            if select.select([master], [], [], 0.2)[0]:
                told += os.read(master, 4096)
    except OSError:
        pass  # the other end is closed
    finally:
        process.kill()
        os.close(master)
    assert process.wait() == 0, told
    assert told.count(b"\rfetch  ") >= 3 and b"of about 184 MB" in told and told.count(b"\n") <= 4, told
    serve(web)
    plain = fetch(web, "u")
    assert "\r" not in plain and "fetch  7/7 files" in plain, plain


def full(web):
    """No room: by the limit of a file's size, and on a real full file system where one can be made."""
    serve(web)

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    told = fetch(web, "f", expect=1, preexec_fn=limit, restore_signals=False)
    assert "cannot write f/" in told and "bytes are kept: free space" in told, told
    nothing_imported("f")
    fetch(web, "f", says="7 recordings")
    same("f")
    assert any(wanted == "bytes=4096-" for _, wanted in web.asked), web.asked
    os.mkdir("small")
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40k", "none", "small"],
                                      stderr=subprocess.DEVNULL).returncode:
        print("not run: a full file system (needs root and mount)")
        return
    try:
        web.forget()
        told = fetch(web, "small/f", expect=1, says=["no room for", "free space"])
        assert "184.0 MB are still to come" in told, told  # by the catalogue, before anything is fetched
        assert web.count(".edf") == 0, web.asked
        told = fetch(web, "small/f", "--only", "Subject*", expect=1, says=["no room for", "free space"])
        assert web.count(".edf") > 2 and not os.path.exists("small/f.h5"), told
        subprocess.run(["mount", "-o", "remount,size=400m", "none", "small"], check=True)
        fetch(web, "small/f", "--out", "small.h5", says="7 recordings")
        same("small/f")
    finally:
        subprocess.run(["umount", "-l", "small"], check=True)


def tables():
    """Who is who, from the set's own table."""
    os.makedirs("ptb/records500/00000")
    for number in range(1, 4):
        for ending, body in zip(("hea", "dat"), wfdb(f"0000{number}_hr", seed=number)):
            with open(f"ptb/records500/00000/0000{number}_hr.{ending}", "wb") as file:
                file.write(body)
    people = (17.0, "{'NORM': 100.0, 'SR': 0.0}"), (4.0, "{'ABQRS': 0.0}"), (17.0, "{'SR': 0.0, 'NORM': 80.0}")
    rows = [
        f'{n},{p},"a, ""b""\nc","{codes}",records100/00000/0000{n}_lr,records500/00000/0000{n}_hr'
        for n, (p, codes) in enumerate(people, 1)
    ]
    write("ptb/ptbxl_database.csv", "\n".join(["ecg_id,patient_id,report,scp_codes,filename_lr,filename_hr", *rows, ""]))
    run("data", "fetch", "ptb-xl", "--from", "ptb", says="3 recordings")
    told = run("data", "info", "ptb.h5")
    assert "subjects       2" in told and "normal" in told, told
    assert "contains NORM=1 else=0" in told, told
    write("ptb/ptbxl_database.csv", "ecg_id,person,scp_codes\n1,2,3\n")
    run("data", "fetch", "ptb-xl", "--from", "ptb", "--overwrite", expect=1, says="(ecg_id, person, scp_codes) names the record")


def catalogue():
    sets = json.loads(run("data", "list", "--json"))
    names = [one["name"] for one in sets]
    assert names == sorted(set(names)) and {"eegmat", "mitdb", "amigos", "dreamer", "ascertain"} <= set(names), names
    table = run("data", "list")
    for one in sets:
        assert one["name"] in table and one["title"] in table
        alone = run("data", "list", one["name"], says=[one["citation"], one["licence"], one["page"]])
        assert ("not verified" in alone or "?" in alone) == bool(one["unverified"]), alone
        assert json.loads(run("data", "list", one["name"], "--json")) == one
        if one["get"] != "fetch":
            run("data", "fetch", one["name"], expect=1, says=[one["how"], one["files"], one["page"]])
    run("data", "list", "eegmatt", expect=2, says="is 'eegmat' meant?")
    run("data", "list", "--all", expect=2, says="--all")
    run("data", "fetch", expect=2, says="a name")
    run("data", "fetch", "eegmat", "--nonsense", "3", expect=2, says="nonsense")
    run("data", "fetch", "eegmat", "--attempts", "0", expect=2, says="from 1 to 1000")
    run("data", "fetch", "eegmat", "--to", "a", "--from", "b", expect=2, says="not both")


with Folder(), Web() as server:
    catalogue()
    tables()
    for part in (whole, part_of_it, resumed, silent, wrong, lists, offline, mirrors, interrupted, terminal, full):
        began = time.time()
        part(server)
        print(f"{part.__name__}: {time.time() - began:.1f} s")
        assert SANITIZED or time.time() - began < 30
