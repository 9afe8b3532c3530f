"""Small recordings for tests that need files as they come: EDF and WFDB with a plain heart beat, no person's."""
import math
import random
import struct


def beats(seconds, rate, bpm=70, seed=0):
    """Millivolt: Gaussian R and T waves, a little noise; the intervals vary."""
    rng = random.Random(seed)
    x = [rng.gauss(0, 0.01) for _ in range(int(seconds * rate))]
    at = 0.3
    while at < seconds:
        for delay, height, width in ((0, 1.0, 0.012), (-0.17, 0.12, 0.03), (0.28, 0.25, 0.05)):
            middle = (at + delay) * rate
            for i in range(max(0, int(middle - 4 * width * rate)), min(len(x), int(middle + 4 * width * rate))):
                x[i] += height * math.exp(-0.5 * ((i - middle) / (width * rate)) ** 2)
        at += 60 / bpm * (1 + rng.gauss(0, 0.04))
    return x


def edf(seconds=20, rate=500, **options):
    """The bytes of an EDF file of one lead."""
    x = beats(seconds, rate, **options)

    def field(text, width):
        return str(text).ljust(width).encode()

    head = field("0", 8) + field("X", 80) + field("X", 80) + field("01.01.01", 8) + field("00.00.00", 8)
    head += field(512, 8) + field("", 44) + field(seconds, 8) + field(1, 8) + field(1, 4)
    head += field("ECG ECG", 16) + field("", 80) + field("mV", 8) + field(-5, 8) + field(5, 8)
    head += field(-32768, 8) + field(32767, 8) + field("", 80) + field(rate, 8) + field("", 32)
    assert len(head) == 512
    return head + struct.pack(f"<{len(x)}h", *(round((v + 5) / 10 * 65535 - 32768) for v in x))


def wfdb(name, seconds=12, rate=500, **options):
    """The bytes of NAME.hea and NAME.dat."""
    values = [round(1000 * v) for v in beats(seconds, rate, **options)]
    head = f"{name} 1 {rate} {len(values)}\n{name}.dat 16 1000/mV 16 0 {values[0]} 0 0 II\n"
    return head.encode(), struct.pack(f"<{len(values)}h", *values)
