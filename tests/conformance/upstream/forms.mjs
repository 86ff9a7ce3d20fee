// The forms the elicitation scenarios look for: one with a default on each primitive type, one
// with each way of writing a choice.

const titled = (values) => values.map((value) => ({ const: value, title: `Choice ${value}` }));
const values = ['one', 'two', 'three'];

export const elicitationForms = {
  defaults: {
    type: 'object',
    properties: {
      name: { type: 'string', description: 'A name.', default: 'John Doe' },
      age: { type: 'integer', description: 'Whole years.', default: 30 },
      score: { type: 'number', description: 'Points.', default: 95.5 },
      status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
      verified: { type: 'boolean', description: 'Whether it was checked.', default: true },
    },
    required: [],
  },
  choices: {
    type: 'object',
    properties: {
      untitledSingle: { type: 'string', enum: values },
      titledSingle: { type: 'string', oneOf: titled(values) },
      legacyEnum: { type: 'string', enum: values, enumNames: ['One', 'Two', 'Three'] },
      untitledMulti: { type: 'array', minItems: 1, maxItems: 3, items: { type: 'string', enum: values } },
      titledMulti: { type: 'array', minItems: 1, maxItems: 3, items: { anyOf: titled(values) } },
    },
    required: [],
  },
};
