/* A library for test_library to find; the old one lacks a function. */
__attribute__((visibility("default"))) int sample_first(void);
int sample_first(void)
{
    return SAMPLE_NUMBER;
}

#ifndef SAMPLE_OLD
__attribute__((visibility("default"))) int sample_second(void);
int sample_second(void)
{
    return 2;
}
#endif
