/* Linear layers: the entries of the table. Who multiplies is decided in multiply.h. */
#include "kernels/check.h"
#include "kernels/cuda/multiply.h"

namespace
{
vg__product product_of(const char *op, const vg_kernels *kernels, const vg_tensor &x, const vg_tensor &w)
{
    vg__product product = {};
    product.op = op;
    product.type = x.dtype;
    product.tf32 = kernels->tf32;
    product.B = x.dims[0];
    product.T = x.dims[1];
    product.I = x.dims[2];
    product.O = w.dims[0];
    product.K = 1;
    return product;
}
} // namespace

vg_status vg__cuda_linear_forward(vg_kernels *kernels, const vg_linear_forward_args *args)
{
    VG_TRY(vg__check_linear_forward(args, VG__F32 | VG__BF16));
    const vg__product product = product_of("linear_forward", kernels, args->x, args->w);
    vg__finish finish = {};
    finish.bias = args->b.data;
    finish.pre = args->pre.data;
    finish.activation = args->activation;
    finish.dropout = args->dropout;
    finish.R = product.T;
    return vg__multiply_forward(vg__cuda_of(kernels), &product, args->x.data, args->w.data, &finish,
                                args->y.data);
}

vg_status vg__cuda_linear_backward(vg_kernels *kernels, const vg_linear_backward_args *args)
{
    VG_TRY(vg__check_linear_backward(args, VG__F32 | VG__BF16));
    vg__cuda *cuda = vg__cuda_of(kernels);
    const vg__product product = product_of("linear_backward", kernels, args->x, args->w);
    const int64_t rows = product.B * product.T;
    if (rows == 0) return VG_OK;
    vg__finish finish = {};
    finish.pre = args->pre.data;
    finish.activation = args->activation;
    finish.dropout = args->dropout;
    finish.R = product.T;
    /* One piece of scratch, first for the bias, then for the products: the kernels follow each other on the
     * stream. */
    const size_t for_bias = vg__cuda_unfinish_scratch(rows, product.O),
                 for_products = vg__multiply_backward_scratch(cuda, &product, args->add_to_dx);
    void *scratch;
    VG_TRY(cuda->scratch(cuda, for_bias > for_products ? for_bias : for_products, &scratch));
    VG_TRY(vg__cuda_unfinish(cuda, product.op, product.type, rows, product.O, &finish, args->y.data,
                             args->dy.data, static_cast<float *>(args->db.data), scratch));
    if (args->dx.data)
        VG_TRY(vg__multiply_dx(cuda, &product, args->dy.data, args->w.data, args->dx.data, args->add_to_dx,
                               scratch));
    return vg__multiply_dw(cuda, &product, args->dy.data, args->x.data, static_cast<float *>(args->dw.data),
                           scratch);
}
