/* The learning rate against closed forms, step by step. */
#include <math.h>

#include "models/schedule.h"
#include "tests/support/support.h"

static void close_to(double got, double want)
{
    if (!(fabs(got - want) <= 1e-15 + 1e-12 * fabs(want))) fail_msg("got %.17g, want %.17g", got, want);
}

static void constant(void **state)
{
    (void)state;
    vg_schedule s = {.kind = VG_SCHEDULE_CONSTANT, .lr = 0.25};
    assert_ok(vg_schedule_check(&s));
    for (int step = 1; step < 100; step++) close_to(vg_schedule_rate(&s, step), 0.25);
}

static void warm_up(void **state)
{
    (void)state;
    for (int kind = VG_SCHEDULE_CONSTANT; kind <= VG_SCHEDULE_STEP; kind++) {
        vg_schedule s = {.kind = (vg_schedule_kind)kind,
                         .lr = 0.4,
                         .warmup_steps = 8,
                         .total_steps = 100,
                         .factor = 0.5,
                         .every = 50};
        assert_ok(vg_schedule_check(&s));
        for (int step = 1; step <= 8; step++) close_to(vg_schedule_rate(&s, step), 0.4 * step / 8);
    }
}

static void linear(void **state)
{
    (void)state;
    vg_schedule s = {
        .kind = VG_SCHEDULE_LINEAR, .lr = 1, .final_lr = 0.1, .warmup_steps = 10, .total_steps = 110};
    assert_ok(vg_schedule_check(&s));
    close_to(vg_schedule_rate(&s, 10), 1);
    close_to(vg_schedule_rate(&s, 60), 0.55);
    close_to(vg_schedule_rate(&s, 110), 0.1);
    close_to(vg_schedule_rate(&s, 5000), 0.1);
    for (int step = 10; step < 110; step++)
        close_to(vg_schedule_rate(&s, step) - vg_schedule_rate(&s, step + 1), 0.009);
    s.warmup_steps = 0;
    close_to(vg_schedule_rate(&s, 1), 1);
    close_to(vg_schedule_rate(&s, 111), 0.1);
}

static void cosine(void **state)
{
    (void)state;
    vg_schedule s = {
        .kind = VG_SCHEDULE_COSINE, .lr = 2, .final_lr = 0.5, .warmup_steps = 4, .total_steps = 24};
    assert_ok(vg_schedule_check(&s));
    close_to(vg_schedule_rate(&s, 14), 1.25);
    close_to(vg_schedule_rate(&s, 24), 0.5);
    close_to(vg_schedule_rate(&s, 9), 0.5 + 1.5 * (1 + sqrt(0.5)) / 2); /* a quarter of the way: cos 45 deg */
    close_to(vg_schedule_rate(&s, 19), 0.5 + 1.5 * (1 - sqrt(0.5)) / 2);
}

static void steps(void **state)
{
    (void)state;
    vg_schedule s = {.kind = VG_SCHEDULE_STEP, .lr = 1e-4, .factor = 0.65, .every = 45};
    assert_ok(vg_schedule_check(&s));
    close_to(vg_schedule_rate(&s, 1), 1e-4);
    close_to(vg_schedule_rate(&s, 45), 1e-4);
    close_to(vg_schedule_rate(&s, 46), 0.65e-4);
    close_to(vg_schedule_rate(&s, 90), 0.65e-4);
    close_to(vg_schedule_rate(&s, 91), 0.65 * 0.65e-4);
}

static void epochs_to_steps(void **state)
{
    (void)state;
    assert_int_equal(vg_schedule_steps(30, 10), 300);
    assert_int_equal(vg_schedule_steps(0.25, 10), 3); /* 2.5, away from zero */
    assert_int_equal(vg_schedule_steps(0.001, 10), 1);
    assert_int_equal(vg_schedule_steps(0, 10), 0);
    assert_int_equal(vg_schedule_steps(NAN, 10), 0);
}

static void refusals(void **state)
{
    (void)state;
    vg_schedule s = {.kind = VG_SCHEDULE_LINEAR, .lr = NAN, .total_steps = 10};
    assert_fails(vg_schedule_check(&s), VG_ERR_CONFIG, "learning rate");
    s.lr = 1;
    s.final_lr = 2;
    assert_fails(vg_schedule_check(&s), VG_ERR_CONFIG, "final");
    s.final_lr = 0;
    s.total_steps = 0;
    assert_fails(vg_schedule_check(&s), VG_ERR_CONFIG, "end");
    s = (vg_schedule){.kind = VG_SCHEDULE_STEP, .lr = 1, .factor = 0.5};
    assert_fails(vg_schedule_check(&s), VG_ERR_CONFIG, "interval");
    s.every = 1;
    s.factor = 2;
    assert_fails(vg_schedule_check(&s), VG_ERR_CONFIG, "factor");
    s = (vg_schedule){.lr = 1, .warmup_steps = -1};
    assert_fails(vg_schedule_check(&s), VG_ERR_CONFIG, "warm-up");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant), cmocka_unit_test(warm_up), cmocka_unit_test(linear),
        cmocka_unit_test(cosine),   cmocka_unit_test(steps),   cmocka_unit_test(epochs_to_steps),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
