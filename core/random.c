#include "core/random.h"

#include <math.h>

vg_random vg_random_make(uint64_t seed, uint32_t site, uint32_t stream)
{
    return (vg_random){.seed = seed, .site = site, .stream = stream, .used = 4};
}

uint32_t vg_random_word(vg_random *random)
{
    if (random->used == 4) {
        random->draw = vg_philox_draw(random->seed, random->index++, random->site, random->stream, 0);
        random->used = 0;
    }
    return random->draw.word[random->used++];
}

double vg_random_uniform(vg_random *random)
{
    return vg_random_unit(vg_random_word(random));
}

double vg_random_normal(vg_random *random)
{
    double radius = sqrt(-2.0 * log(vg_random_uniform(random)));
    return radius * cos(6.283185307179586 * vg_random_uniform(random));
}

uint64_t vg_random_below(vg_random *random, uint64_t bound)
{
    VG_ASSERT(bound > 0);
    /* Draws above the largest multiple of bound are thrown away, so that no value is favoured. */
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    for (;;) {
        uint64_t high = vg_random_word(random), value = high << 32 | vg_random_word(random);
        if (value < limit) return value % bound;
    }
}

void vg_random_shuffle(vg_random *random, int64_t *items, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)vg_random_below(random, (uint64_t)i + 1), held = items[i];
        items[i] = items[j];
        items[j] = held;
    }
}
