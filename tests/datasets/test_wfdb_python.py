"""WFDB as wfdb-python, the reference reader, reads it: the records of wfdb_python/, whose samples it read are kept
there; and with "real" the recordings of VAGUS_TEST_DATA, where this Python can import wfdb."""
import collections

from formats_support import DATA, expect, imported, np, pathlib, same, sys

FOLDER = pathlib.Path(__file__).parent / "wfdb_python"


def compare_fixture(records):
    """records: {name: [(lead, rate, units, samples)]}. One import for each rate, so that nothing is resampled."""
    samples = 0
    for name, leads in records.items():
        for rate in sorted({lead[1] for lead in leads}):
            wanted = [lead for lead in leads if lead[1] == rate]
            # Of a record of several segments the header alone is the source, its segments stand in the same folder.
            got = imported("wfdb", FOLDER / f"{name}.hea", rate, "--leads", ",".join(lead[0] for lead in wanted))
            expect(name, sorted(row["lead"] for row in got), sorted(lead[0] for lead in wanted))
            got = {row["lead"]: row["samples"] for row in got}
            for lead, _, units, x in wanted:
                what, scale = f"{name}, {lead}", {"mV": 1, "uV": 1e-3, "V": 1e3}[units]
                same(what, got[lead], x * scale)
                samples += len(x)
    return samples


def fixture():
    records = collections.defaultdict(list)
    for key, x in np.load(FOLDER / "physical.npz").items():
        name, lead, rate, units = key.split("|")
        records[name].append((lead, float(rate), units, x))
    expect("records of the folder", len(records), len(list(FOLDER.glob("*.hea"))) - 3)  # two segments and a layout
    print(len(records), "records,", compare_fixture(records), "samples")


def real():
    try:
        import wfdb
    except ImportError as error:
        print("skipped:", error, "(pip install wfdb; -DVAGUS_PYTHON=... names the Python that has it)")
        sys.exit(77)
    if not DATA:
        print("skipped: VAGUS_TEST_DATA is not set")
        sys.exit(77)
    compared = collections.Counter()
    for set, rate in (("mitdb", 360), ("cinc2017", 300)):
        rows = collections.defaultdict(dict)
        for row in imported("wfdb", pathlib.Path(DATA, set), rate, "--keep", "all"):
            rows[pathlib.Path(row["source"]).stem][row["lead"]] = row["samples"]
        headers = sorted(pathlib.Path(DATA, set).glob("*.hea"))
        expect(f"records of {set}", sorted(rows), [header.stem for header in headers])
        for header in headers:
            record = wfdb.rdrecord(str(header.with_suffix("")))
            expect(header.name, sorted(rows[header.stem]), sorted(record.sig_name))
            for k, lead in enumerate(record.sig_name):
                same(f"{header.name}, {lead}", rows[header.stem][lead], record.p_signal[:, k])
                compared[set] += record.sig_len
        print(f"{set}: {len(headers)} records, {compared[set]} samples as wfdb {wfdb.__version__} reads them")


real() if sys.argv[1:] == ["real"] else fixture()
print("passed")
